/** Tenants that come and change, on shared Databases. */
import {
  act,
  customerWrites,
  EVERYWHERE,
  type Lifecycle,
  placeOf,
  ready,
  shared,
  tenant,
  tenantIs,
  wait,
} from './steps.ts'

const limited = (connections: number) => [shared('oltp', { limits: { connections, statementTimeout: '30s' } })]

export const TENANT_LIFECYCLES: readonly Lifecycle[] = [
  {
    name: 'everywhere',
    steps: [tenant('ada', EVERYWHERE), ready('ada'), customerWrites('ada', 'oltp', 'cache', 'analytics')],
  },
  { name: 'postgres', steps: [tenant('bob', [shared('oltp')]), ready('bob'), customerWrites('bob', 'oltp')] },
  { name: 'redis', steps: [tenant('cyd', [shared('cache')]), ready('cyd'), customerWrites('cyd', 'cache')] },
  {
    name: 'clickhouse',
    steps: [tenant('dan', [shared('analytics')]), ready('dan'), customerWrites('dan', 'analytics')],
  },
  {
    name: 'limits',
    steps: [
      tenant('eve', limited(5)),
      ready('eve'),
      customerWrites('eve', 'oltp'),
      tenant('eve', limited(7)),
      ready('eve'),
      // Not waited for: what is called ready must be so by then.
      act('the limit is there', async (life) => {
        const query = 'SELECT rolconnlimit AS allowed FROM pg_roles WHERE rolname = $1'
        const { rows } = await life.stage.lab.postgres.query(query, [placeOf(life, 'eve', 'oltp')?.login])
        if (rows[0]?.allowed !== 7) throw new Error(`ready, with a limit of ${rows[0]?.allowed} connections and not 7`)
      }),
    ],
  },
  {
    name: 'sleep',
    steps: [
      tenant('fay', [shared('oltp'), shared('cache')]),
      ready('fay'),
      customerWrites('fay', 'oltp', 'cache'),
      tenant('fay', [shared('oltp'), shared('cache')], { suspended: true }),
      tenantIs('fay', { type: 'Suspended', status: 'True' }),
      tenantIs('fay', { type: 'Ready', status: 'True', reason: 'Suspended' }),
      tenant('fay', [shared('oltp'), shared('cache')]),
      tenantIs('fay', { type: 'Ready', status: 'True', reason: 'AllDatabasesReady' }),
    ],
  },
  {
    name: 'born-asleep',
    steps: [
      tenant('gus', [shared('oltp'), shared('cache')], { suspended: true }),
      tenantIs('gus', { type: 'Ready', status: 'True', reason: 'Suspended' }),
    ],
  },
  {
    name: 'grows',
    steps: [
      tenant('hal', [shared('oltp')]),
      ready('hal'),
      customerWrites('hal', 'oltp'),
      tenant('hal', [shared('oltp'), shared('cache')]),
      ready('hal'),
      customerWrites('hal', 'cache'),
    ],
  },
  {
    name: 'shrinks',
    steps: [
      tenant('ivy', [shared('oltp'), shared('cache')]),
      ready('ivy'),
      customerWrites('ivy', 'oltp', 'cache'),
      tenant('ivy', [shared('oltp')]),
      ready('ivy'),
      wait(
        'the Secret of the removed entry is gone',
        async (life) => Object.keys(await life.secret('ivy-cache')).length === 0,
      ),
    ],
  },
  {
    name: 'flips',
    steps: [tenant('joe', limited(5)), tenant('joe', limited(9)), tenant('joe', limited(5)), ready('joe')],
  },
  {
    name: 'reader',
    steps: [
      tenant('kim', [shared('oltp'), shared('cache')]),
      ready('kim'),
      tenant('kim', [shared('oltp', { access: ['ReadWrite', 'ReadOnly'] }), shared('cache')]),
      ready('kim'),
      customerWrites('kim', 'oltp'),
      tenant('kim', [shared('oltp'), shared('cache')]),
      ready('kim'),
    ],
  },
  {
    name: 'template',
    steps: [
      tenant('lee', [shared('oltp')]),
      ready('lee'),
      tenant('lee', [shared('oltp', { secretTemplate: { DSN: '$(username)@$(database)' } })]),
      ready('lee'),
      wait('the Secret has the key', async (life) => 'DSN' in (await life.secret('lee-oltp'))),
    ],
  },
]
