/** Databases that change under their tenants. */

import { objectName } from '@tenantry/engines/names.ts'
import { CUSTOMERS } from './platform.ts'
import {
  act,
  approve,
  customerWrites,
  database,
  databaseReady,
  files,
  gone,
  type Lifecycle,
  own,
  psql,
  ready,
  remove,
  server,
  sources,
  tenant,
  tenantIs,
  wait,
} from './steps.ts'

const POSTGRES = { engine: 'PostgreSQL', isolation: 'Schema', ...sources('tables') } as const
const TABLES = files('tables', { '0001_customers.sql': CUSTOMERS })
const made = (more: object = {}) => [
  server('main-s0'),
  TABLES,
  database('main', { ...POSTGRES, ...more }),
  databaseReady('main'),
]
const shardNamed = (name: string, more: object = {}) => ({
  name,
  connectionSecretRef: { name: `main-${name}` },
  ...more,
})

const SHARED_TABLES = `create table customers (tenant_id text not null default tenantry.tenant_id(),
  id bigint generated always as identity, name text not null, primary key (tenant_id, id));`

export const DATABASE_LIFECYCLES: readonly Lifecycle[] = [
  {
    name: 'adopts',
    steps: [
      ...made(),
      act('make a look-alike', async (life) => {
        const name = objectName({ namespace: life.namespace, name: 'ada' }, { namespace: life.namespace, name: 'main' })
        await life.psql(
          'main-s0',
          `CREATE SCHEMA ${name}; CREATE TABLE ${name}.old (n int); INSERT INTO ${name}.old VALUES (7)`,
        )
      }),
      tenant('ada', [own('main')], { deletionPolicy: 'Retain' }),
      tenantIs('ada', { type: 'Ready', status: 'False', reason: 'Conflict' }),
      tenant('ada', [own('main')], { deletionPolicy: 'Retain', annotations: { 'tenantry.dev/adopt': 'true' } }),
      ready('ada'),
      customerWrites('ada', 'main'),
    ],
  },
  {
    name: 'plans',
    steps: [
      ...made({ mode: 'Plan' }).slice(0, -1),
      tenant('bob', [own('main')]),
      wait('the Database shows its plan', (life) => life.database('main')?.status?.plan !== undefined),
      database('main', { ...POSTGRES, mode: 'Enforce' }),
      ready('bob'),
      customerWrites('bob', 'main'),
    ],
  },
  {
    name: 'approves',
    steps: [
      ...made({ approval: 'Destructive' }),
      tenant('cyd', [own('main')]),
      ready('cyd'),
      customerWrites('cyd', 'main'),
      remove('cyd'),
      tenantIs('cyd', { type: 'Held', status: 'True', reason: 'AwaitingApproval' }),
      approve('cyd'),
      gone('cyd'),
    ],
  },
  {
    name: 'shard-added',
    steps: [
      ...made(),
      tenant('dan', [own('main')]),
      ready('dan'),
      customerWrites('dan', 'main'),
      server('main-s1'),
      database('main', { ...POSTGRES, replicas: 2, shards: [shardNamed('s0'), shardNamed('s1')] }),
      databaseReady('main'),
      tenant('eve', [own('main', { shard: 's1' })]),
      ready('eve'),
      customerWrites('eve', 'main'),
    ],
  },
  {
    name: 'cordoned',
    steps: [
      ...made(),
      tenant('fay', [own('main')]),
      ready('fay'),
      database('main', { ...POSTGRES, shards: [shardNamed('s0', { cordoned: true })] }),
      databaseReady('main'),
      tenant('gus', [own('main')]),
      tenantIs('gus', { type: 'Ready', status: 'False', reason: 'NoCapacity' }),
      database('main', POSTGRES),
      ready('gus'),
    ],
  },
  {
    name: 'file-added',
    steps: [
      ...made(),
      tenant('hal', [own('main')]),
      ready('hal'),
      customerWrites('hal', 'main'),
      files('tables', { '0001_customers.sql': CUSTOMERS, '0002_city.sql': 'alter table customers add city text;' }),
      wait('the new version is there', (life) => life.tenant('hal')?.status?.databases?.[0]?.schemaVersion === '2'),
      ready('hal'),
    ],
  },
  {
    name: 'file-broken',
    steps: [
      ...made(),
      tenant('ivy', [own('main')]),
      ready('ivy'),
      customerWrites('ivy', 'main'),
      files('tables', { '0001_customers.sql': CUSTOMERS, '0002_city.sql': 'alter table nobody add city text;' }),
      tenantIs('ivy', { type: 'Ready', status: 'False', reason: 'MigrationFailed' }),
      files('tables', { '0001_customers.sql': CUSTOMERS, '0002_city.sql': 'alter table customers add city text;' }),
      wait('the new version is there', (life) => life.tenant('ivy')?.status?.databases?.[0]?.schemaVersion === '2'),
      ready('ivy'),
    ],
  },
  {
    name: 'rows',
    steps: [
      server('main-s0'),
      files('tables', { '0001_customers.sql': SHARED_TABLES }),
      database('main', { ...POSTGRES, isolation: 'Row' }),
      databaseReady('main'),
      tenant('joe', [own('main')]),
      tenant('kim', [own('main')]),
      ready('joe', 'kim'),
      customerWrites('joe', 'main'),
      customerWrites('kim', 'main'),
      remove('kim'),
      gone('kim'),
    ],
  },
  {
    name: 'own-database',
    steps: [
      server('main-s0'),
      TABLES,
      database('main', { ...POSTGRES, isolation: 'Database' }),
      databaseReady('main'),
      tenant('lee', [own('main')], { deletionPolicy: 'Retain' }),
      tenant('mia', [own('main')]),
      ready('lee', 'mia'),
      customerWrites('lee', 'main'),
      remove('mia'),
      gone('mia'),
    ],
  },
  {
    name: 'extension',
    steps: [
      ...made(),
      database('main', { ...POSTGRES, extensions: ['pg_trgm'] }),
      databaseReady('main'),
      wait('the extension is there', async (life) => {
        const rows = await life.psql('main-s0', "SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
        return rows.length === 1
      }),
      psql('main-s0', 'SELECT 1'),
    ],
  },
]
