/** What people do by hand behind the operator's back. */
import { SECRETS } from '@tenantry/operator/kube/types.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { CUSTOMERS } from './platform.ts'
import {
  act,
  byHand,
  customerWrites,
  database,
  databaseReady,
  EVERYWHERE,
  files,
  type Lifecycle,
  own,
  placeOf,
  ready,
  redisByHand,
  removeSecret,
  server,
  shared,
  sources,
  tenant,
  tenantIs,
  untilSql,
  wait,
} from './steps.ts'

const mine = (name: string) => [
  server('main-s0'),
  files('tables', { '0001_customers.sql': CUSTOMERS }),
  database('main', { engine: 'PostgreSQL', isolation: 'Schema', ...sources('tables') }),
  databaseReady('main'),
  tenant(name, [own('main')]),
  ready(name),
  customerWrites(name, 'main'),
]

const secretData = async (
  life: Parameters<Parameters<typeof act>[1]>[0],
  name: string,
  data: Record<string, string>,
) => {
  const encoded = Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  )
  await life.stage.lab.kube.patch(SECRETS, { namespace: life.namespace, name }, { data: encoded }, { type: 'merge' })
}

export const DRIFT_LIFECYCLES: readonly Lifecycle[] = [
  {
    name: 'grants',
    steps: [
      ...mine('ada'),
      byHand('main-s0', 'ada', 'main', 'REVOKE USAGE ON SCHEMA $schema FROM $schema_rw'),
      byHand('main-s0', 'ada', 'main', 'REVOKE ALL ON ALL TABLES IN SCHEMA $schema FROM $schema_rw'),
      untilSql('main-s0', 'ada', 'main', "has_schema_privilege('$schema_rw', '$schema', 'USAGE')"),
      untilSql('main-s0', 'ada', 'main', "has_table_privilege('$schema_rw', '$schema.customers', 'INSERT')"),
      ready('ada'),
    ],
  },
  {
    name: 'role-dropped',
    steps: [
      ...mine('bob'),
      byHand('main-s0', 'bob', 'main', 'DROP ROLE $login'),
      untilSql('main-s0', 'bob', 'main', "EXISTS (SELECT FROM pg_roles WHERE rolname = '$login' AND rolcanlogin)"),
      ready('bob'),
    ],
  },
  {
    name: 'role-altered',
    steps: [
      ...mine('cyd'),
      byHand('main-s0', 'cyd', 'main', 'ALTER ROLE $login SUPERUSER CONNECTION LIMIT 1'),
      untilSql(
        'main-s0',
        'cyd',
        'main',
        "EXISTS (SELECT FROM pg_roles WHERE rolname = '$login' AND NOT rolsuper AND rolconnlimit <> 1)",
      ),
      ready('cyd'),
    ],
  },
  {
    name: 'default-privileges',
    steps: [
      ...mine('dan'),
      byHand(
        'main-s0',
        'dan',
        'main',
        'ALTER DEFAULT PRIVILEGES FOR ROLE $schema_owner IN SCHEMA $schema REVOKE SELECT ON TABLES FROM $schema_rw',
      ),
      untilSql(
        'main-s0',
        'dan',
        'main',
        "EXISTS (SELECT FROM pg_default_acl d, aclexplode(d.defaclacl) a WHERE d.defaclnamespace = '$schema'::regnamespace AND a.privilege_type = 'SELECT' AND a.grantee = '$schema_rw'::regrole)",
      ),
      ready('dan'),
    ],
  },
  {
    name: 'mark-removed',
    steps: [
      ...mine('eve'),
      byHand('main-s0', 'eve', 'main', 'COMMENT ON ROLE $schema_ro IS NULL'),
      tenantIs('eve', { type: 'Held', status: 'True', reason: 'Conflict' }),
      tenant('eve', [own('main')], { annotations: { 'tenantry.dev/adopt': 'true' } }),
      ready('eve'),
    ],
  },
  {
    name: 'user-deleted',
    steps: [
      tenant('fay', [shared('cache')]),
      ready('fay'),
      customerWrites('fay', 'cache'),
      act(
        'ACL DELUSER',
        async (life) => void (await redisByHand(life, 'ACL', 'DELUSER', placeOf(life, 'fay', 'cache')?.login ?? '')),
      ),
      wait(
        'the user is back',
        async (life) =>
          (await redisByHand(life, 'ACL', 'GETUSER', placeOf(life, 'fay', 'cache')?.login ?? '')) !== null,
      ),
      ready('fay'),
    ],
  },
  {
    name: 'user-widened',
    steps: [
      tenant('gus', [shared('cache')]),
      ready('gus'),
      customerWrites('gus', 'cache'),
      act(
        'ACL SETUSER',
        async (life) =>
          void (await redisByHand(life, 'ACL', 'SETUSER', placeOf(life, 'gus', 'cache')?.login ?? '', '+@all', '~*')),
      ),
      wait('the user is narrow again', async (life) => {
        const rules = JSON.stringify(
          await redisByHand(life, 'ACL', 'GETUSER', placeOf(life, 'gus', 'cache')?.login ?? ''),
        )
        return rules !== 'null' && !rules.includes('"~*') && !rules.includes('+@all')
      }),
      ready('gus'),
    ],
  },
  {
    name: 'table-dropped',
    steps: [
      tenant('hal', [shared('analytics')]),
      ready('hal'),
      act('DROP TABLE', async (life) => {
        await life.stage.lab.clickhouse.command({
          query: `DROP TABLE IF EXISTS ${placeOf(life, 'hal', 'analytics')?.database}.events SYNC`,
        })
      }),
      wait('the table is back', async (life) => {
        const query = `EXISTS TABLE ${placeOf(life, 'hal', 'analytics')?.database}.events`
        const answer = await life.stage.lab.clickhouse.query({ query, format: 'JSONEachRow' })
        return JSON.stringify(await answer.json()).includes('1')
      }),
      ready('hal'),
      customerWrites('hal', 'analytics'),
    ],
  },
  {
    name: 'secret-deleted',
    steps: [
      tenant('ivy', EVERYWHERE),
      ready('ivy'),
      customerWrites('ivy', 'oltp', 'cache', 'analytics'),
      removeSecret('ivy-oltp'),
      wait('the Secret is back', async (life) => 'password' in (await life.secret('ivy-oltp'))),
      ready('ivy'),
    ],
  },
  {
    name: 'secret-edited',
    steps: [
      tenant('joe', [shared('oltp')]),
      ready('joe'),
      customerWrites('joe', 'oltp'),
      act('another host', (life) => secretData(life, 'joe-oltp', { host: 'elsewhere.example' })),
      wait('the host is right again', async (life) => (await life.secret('joe-oltp')).host === '127.0.0.1'),
      act('another password', (life) => secretData(life, 'joe-oltp', { password: 'chosen-by-hand-and-long-enough' })),
      wait('the uri has it', async (life) => (await life.secret('joe-oltp')).uri?.includes('chosen-by-hand') === true),
      ready('joe'),
    ],
  },
  {
    name: 'placement-removed',
    steps: [
      tenant('kim', [shared('oltp')]),
      ready('kim'),
      customerWrites('kim', 'oltp'),
      act('remove the placement', async (life) => {
        const annotations = { 'tenantry.dev/placement': null }
        await life.stage.lab.kube.patch(
          TENANTS,
          { namespace: life.namespace, name: 'kim' },
          { metadata: { annotations } },
          { type: 'merge' },
        )
      }),
      wait(
        'the placement is back',
        (life) => life.tenant('kim')?.metadata.annotations?.['tenantry.dev/placement'] !== undefined,
      ),
      ready('kim'),
    ],
  },
  {
    name: 'paused',
    steps: [
      tenant('lee', [shared('oltp')]),
      ready('lee'),
      tenant('lee', [shared('oltp', { limits: { connections: 9 } })], {
        annotations: { 'tenantry.dev/paused': 'true' },
      }),
      wait(
        'it is held',
        (life) => life.tenant('lee')?.status?.conditions?.some(({ type }) => type === 'Held') === true,
      ),
      tenant('lee', [shared('oltp', { limits: { connections: 9 } })]),
      ready('lee'),
    ],
  },
]
