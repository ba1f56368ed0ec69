import { expect, test } from 'vitest'
import { gateName, loginName, roleNames } from './names.ts'
import {
  databasesQuery,
  defaultsQuery,
  ledgerQuery,
  membershipsQuery,
  objectsQuery,
  REGISTRY,
  rolesQuery,
  schemasQuery,
  sharedTablesQuery,
} from './queries.ts'
import { byHand, freshShard, make } from './testing/lab.ts'

const base = 't_acme_01234567'
const gate = gateName('any')
const list = (names: readonly string[]): string => `'{${names.join(',')}}'`
const roles = list([gate, ...roleNames(base)])

test.each<[string, string, readonly string[]]>([
  ['roles', rolesQuery(false, true), [roles]],
  ['memberships', membershipsQuery(false), [roles, `'${gate}'`, list(roleNames(base))]],
  ['schemas', schemasQuery(false), [list([base])]],
  ['objects', objectsQuery(false), [list([base])]],
  ['shared tables', sharedTablesQuery(false), [list([base])]],
  ['default privileges', defaultsQuery(false), [roles]],
  ['databases', databasesQuery(false), [list([base])]],
  ['the ledger', ledgerQuery(true), [list([base])]],
  ['the registry', REGISTRY, [list([base]), list([loginName(base, 'ReadWrite')])]],
])(
  'a look at one tenant finds %s by indexes, so that it costs the same among ten thousand',
  async (_, text, values) => {
    const { admin, session, tenant } = await freshShard('Schema')
    await make(session, tenant('acme'))
    const types = values.map((value) => (value.startsWith("'{") ? 'text[]' : 'text')).join(', ')
    // Among a handful of rows a scan is cheaper: it is taken only where there is no other way.
    const settings = [
      'SET search_path = pg_catalog',
      'SET enable_seqscan = off',
      'SET plan_cache_mode = force_custom_plan',
    ]
    const prepare = `PREPARE look (${types}) AS ${text}`
    const rows = await byHand(admin, ...settings, prepare, `EXPLAIN EXECUTE look (${values.join(', ')})`)
    const plan = rows.map((row) => String(Reflect.get(row, 'QUERY PLAN'))).join('\n')
    expect(plan).toMatch(/Index/)
    expect(plan).not.toMatch(/Seq Scan/)
  },
)
