/** Tenants and Databases that go, and some that come again. */

import { CUSTOMERS } from './platform.ts'
import {
  claimed,
  customerWrites,
  database,
  databaseGone,
  databaseIs,
  databaseReady,
  EVERYWHERE,
  files,
  gone,
  type Lifecycle,
  namespaceGone,
  own,
  ready,
  remove,
  removeDatabase,
  removeNamespace,
  server,
  shared,
  sources,
  tenant,
  wait,
} from './steps.ts'

const OWN = { engine: 'PostgreSQL', isolation: 'Schema', ...sources('tables') } as const
const ownDatabase = (name: string) => [
  server(`${name}-s0`),
  files('tables', { '0001_customers.sql': CUSTOMERS }),
  database(name, OWN),
  databaseReady(name),
]

export const DELETION_LIFECYCLES: readonly Lifecycle[] = [
  {
    name: 'dropped',
    steps: [
      tenant('ada', EVERYWHERE),
      ready('ada'),
      customerWrites('ada', 'oltp', 'cache', 'analytics'),
      remove('ada'),
      gone('ada'),
    ],
  },
  {
    name: 'retained',
    steps: [
      tenant('bob', EVERYWHERE, { deletionPolicy: 'Retain' }),
      ready('bob'),
      customerWrites('bob', 'oltp', 'cache', 'analytics'),
      remove('bob'),
      gone('bob'),
    ],
  },
  {
    name: 'reborn',
    steps: [
      tenant('cyd', EVERYWHERE, { deletionPolicy: 'Retain' }),
      ready('cyd'),
      customerWrites('cyd', 'oltp', 'cache', 'analytics'),
      remove('cyd'),
      gone('cyd'),
      wait('the old Secret is collected', async (life) => Object.keys(await life.secret('cyd-oltp')).length === 0),
      tenant('cyd', EVERYWHERE, { deletionPolicy: 'Retain' }),
      ready('cyd'),
    ],
  },
  {
    name: 'stillborn',
    steps: [tenant('dan', EVERYWHERE), claimed('dan'), remove('dan'), gone('dan')],
  },
  {
    name: 'neighbours',
    steps: [
      tenant('eve', [shared('oltp'), shared('cache')]),
      tenant('fay', [shared('oltp'), shared('cache')]),
      ready('eve', 'fay'),
      customerWrites('eve', 'oltp', 'cache'),
      customerWrites('fay', 'oltp', 'cache'),
      remove('eve'),
      gone('eve'),
    ],
  },
  {
    name: 'again',
    steps: [
      tenant('gus', [shared('oltp')]),
      ready('gus'),
      customerWrites('gus', 'oltp'),
      remove('gus'),
      gone('gus'),
      wait('the old Secret is collected', async (life) => Object.keys(await life.secret('gus-oltp')).length === 0),
      tenant('gus', [shared('oltp')]),
      ready('gus'),
    ],
  },
  {
    name: 'empty-database',
    steps: [...ownDatabase('main'), removeDatabase('main'), databaseGone('main')],
  },
  {
    name: 'used-database',
    steps: [
      ...ownDatabase('main'),
      tenant('ivy', [own('main')]),
      ready('ivy'),
      removeDatabase('main'),
      databaseIs('main', { type: 'Ready', status: 'False', reason: 'InUse' }),
      remove('ivy'),
      gone('ivy'),
      databaseGone('main'),
    ],
  },
]

/** The namespace controller deletes in no order: the connection Secret may go before the Tenant that needs it. */
export const NAMESPACE_LIFECYCLES: readonly Lifecycle[] = [
  {
    name: 'namespace',
    steps: [
      ...ownDatabase('main'),
      tenant('hal', [own('main'), shared('cache')]),
      ready('hal'),
      customerWrites('hal', 'main', 'cache'),
      removeNamespace,
      namespaceGone,
    ],
  },
]
