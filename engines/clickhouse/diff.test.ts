import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeMark } from '../mark.ts'
import type { Limits, Owner, TenantInput } from '../model.ts'
import { clickhouse } from './engine.ts'
import { expectedFilter } from './policies.ts'
import type { ChResource } from './resources.ts'
import { rowsDetail } from './resources.ts'
import { type ChSnapshot, type FoundAccess, type FoundEntry, groupBy, indexOwned } from './snapshot.ts'

const owner: Owner = { installation: 'i', kind: 'Tenant', namespace: 'n', name: 'acme', uid: 'u1' }
const limits: Limits = { memoryBytes: 100, statementTimeoutMs: 1500, connections: 5, queriesPerHour: 10 }
const base = 't_acme_00000000'
const logins = [
  { access: 'ReadWrite', login: base, fingerprint: 'f1' },
  { access: 'ReadOnly', login: `${base}_ro`, fingerprint: 'f2' },
] as const

function wanted(over: Partial<TenantInput> = {}): readonly ChResource[] {
  const shared = 'd_olap_00000000'
  const input = { name: base, tenantId: 't_acme_11111111', shared, suspended: false, logins, limits, files: [] }
  return clickhouse.tenantResources({ isolation: 'Row', ...input, ...over })
}

const table = (name: string, sortingKey: string, comment = '') => ({
  database: 'd_olap_00000000',
  name,
  engine: 'MergeTree',
  comment,
  sortingKey,
})
const TABLES = [
  table('clicks', 'tenant_id'),
  table('events', 'tenant_id, id'),
  table('fx', 'day', 'tenantry:reference'),
]

/** What a server shows of the resources once they are there, written down by hand from what ClickHouse 26.7 shows. */
function serverWith(
  resources: readonly ChResource[],
  change: (access: Writable) => void = () => undefined,
): ChSnapshot {
  const access = accessOf(resources)
  change(access)
  const entries = resources.flatMap(entryOf)
  const own = resources.find((r) => r.kind === 'database')
  const database = { name: base, comment: encodeMark(owner), uuid: 'x' }
  const databases = own ? [database] : []
  return {
    admin: 'default',
    noAccessControl: undefined,
    databases: new Map(databases.map((d) => [d.name, d])),
    tables: groupBy(TABLES, (t) => t.database),
    registry: new Map(entries.map((e) => [e.id, e])),
    ledger: new Map(),
    access,
    owned: indexOwned(databases, entries),
  }
}

type Writable = {
  -readonly [K in keyof FoundAccess]: FoundAccess[K] extends ReadonlyMap<string, infer V> ? Map<string, V> : Set<string>
}

function accessOf(resources: readonly ChResource[]): Writable {
  const rows = resources.find((r) => r.kind === 'rows')?.spec
  const shared = rows?.shared ?? ''
  const role = `${base}_role`
  const reads = rows
    ? TABLES.map((t) => ({ grantee: role, access: 'SELECT', database: shared, table: t.name, irregular: false }))
    : ['SELECT', 'dictGet'].map((access) => ({ grantee: role, access, database: base, irregular: false }))
  const user = resources.find((r) => r.kind === 'user' && r.spec.login === base)
  const writes = user?.kind === 'user' ? user.spec.grants.map((g) => ({ ...g, grantee: base, irregular: false })) : []
  const policies = ['clicks', 'events'].map((name) => ({
    ...{ name: base, database: shared, table: name, filter: expectedFilter(rows?.tenantId ?? '') },
    ...{ restrictive: false, everybody: false, to: [role] },
  }))
  const members = logins.map(({ login }) => ({ grantee: login, granteeIsRole: false, role }))
  return {
    users: new Map([
      [base, { name: base, hosts: 'any', allRolesDefault: true, settings: [] }],
      [`${base}_ro`, { name: `${base}_ro`, hosts: 'any', allRolesDefault: true, settings: ['readonly=2 CONST'] }],
    ]),
    roles: new Set([role]),
    profiles: new Map([
      [
        base,
        {
          name: base,
          settings: [
            'max_concurrent_queries_for_user=5 CONST',
            'max_execution_time=2 CONST',
            'max_memory_usage=100 CONST',
            'max_memory_usage_for_user=100 CONST',
          ],
          to: [role],
        },
      ],
    ]),
    quotas: new Map([[base, { name: base, keys: ['user_name'], limits: ['3600: queries=10'], to: [role] }]]),
    policies: new Map(rows ? [[base, policies]] : []),
    grantsTo: new Map([
      [role, reads],
      [base, writes],
    ]),
    grantsOn: new Map(),
    rolesOf: new Map(members.map((m) => [m.grantee, [m]])),
    membersOf: new Map([[role, members]]),
  }
}

function entryOf(resource: ChResource): FoundEntry[] {
  if (resource.kind === 'database' || resource.kind === 'file') return []
  const facts = resource.kind === 'user' ? { credential: resource.spec.fingerprint } : {}
  const rawMark = encodeMark(owner, facts)
  const detail = resource.kind === 'rows' ? rowsDetail(resource) : ''
  return [{ id: resource.id, base, mark: { ...owner, facts }, rawMark, detail }]
}

test.each(['Row', 'Database'] as const)('finds nothing to do in mode %s where everything is as wanted', (isolation) => {
  expect(clickhouse.diff(owner, wanted({ isolation }), serverWith(wanted({ isolation })))).toEqual([])
})

const role = `${base}_role`
const damages: readonly [string, string, (a: Writable) => unknown][] = [
  ['a dropped user', `create user ${base}`, (a) => a.users.delete(base)],
  ['a dropped role', `create role ${role}`, (a) => a.roles.delete(role)],
  ['a dropped profile', `create settings profile ${base}`, (a) => a.profiles.delete(base)],
  ['a dropped quota', `create quota ${base}`, (a) => a.quotas.delete(base)],
  ['a dropped policy', `alter role ${role}`, (a) => a.policies.set(base, a.policies.get(base)?.slice(1) ?? [])],
  [
    'a policy that shows everything',
    `alter role ${role}`,
    (a) => a.policies.set(base, a.policies.get(base)?.map((p) => ({ ...p, filter: '1' })) ?? []),
  ],
  ['a revoked grant', `alter role ${role}`, (a) => a.grantsTo.set(role, a.grantsTo.get(role)?.slice(1) ?? [])],
  [
    'a grant too much',
    `alter user ${base}`,
    (a) => a.grantsTo.set(base, [{ grantee: base, access: 'SELECT', database: 'tenantry', irregular: false }]),
  ],
  [
    'a grant with the right to pass it on',
    `alter role ${role}`,
    (a) => a.grantsTo.set(role, a.grantsTo.get(role)?.map((g) => ({ ...g, irregular: true })) ?? []),
  ],
  [
    'a changed quota',
    `alter quota ${base}`,
    (a) => a.quotas.set(base, { name: base, keys: ['user_name'], limits: ['3600: queries=11'], to: [role] }),
  ],
  [
    'a profile without its role',
    `alter settings profile ${base}`,
    (a) => a.profiles.set(base, { name: base, settings: [], to: [] }),
  ],
  ['a role taken away', `alter user ${base}`, (a) => a.rolesOf.delete(base)],
  [
    'a stranger in the role',
    `alter role ${role}`,
    (a) => a.membersOf.set(role, [{ grantee: 'mallory', granteeIsRole: false, role }]),
  ],
  [
    'a reader who may write',
    `alter user ${base}_ro`,
    (a) => a.users.set(`${base}_ro`, { name: `${base}_ro`, hosts: 'any', allRolesDefault: true, settings: [] }),
  ],
]

test.each(damages)('sees %s and repairs it with: %s', (_, summary, damage) => {
  const changes = clickhouse.diff(owner, wanted(), serverWith(wanted(), damage))
  expect(changes.map((c) => c.summary)).toEqual([summary])
  expect(changes[0]?.blocked).toBeUndefined()
})

test('repairs a grant too much with a REVOKE and a stranger with another', () => {
  const found = serverWith(wanted(), (a) => {
    a.grantsTo.set(role, [{ grantee: role, access: 'INSERT', database: 'x', table: 'y', irregular: false }])
    a.membersOf.set(role, [{ grantee: 'o`mallory', granteeIsRole: false, role }])
  })
  const [change] = clickhouse.diff(owner, wanted(), found)
  const statements = change ? clickhouse.statements(change) : []
  expect(statements).toContain(`REVOKE INSERT ON \`x\`.\`y\` FROM \`${role}\``)
  expect(statements).toContain(`REVOKE \`${role}\` FROM \`o\\\`mallory\``)
})

test('locks out both logins of a suspended tenant and ends their queries', () => {
  const changes = clickhouse.diff(owner, wanted({ suspended: true }), serverWith(wanted()))
  expect(changes.map((c) => [c.summary, c.risk])).toEqual([
    [`alter user ${base}`, 'disruptive'],
    [`alter user ${base}_ro`, 'disruptive'],
  ])
  const statements = changes.flatMap((c) => clickhouse.statements(c)).join('\n')
  expect(statements).toContain('HOST NONE')
  expect(statements).toContain(`KILL QUERY WHERE user = '${base}' ASYNC`)
})

test('sets a new password when the fingerprint differs, and shows neither it nor a hash', () => {
  const rotated = logins.map((l) => ({ ...l, fingerprint: `${l.fingerprint}x` }))
  const changes = clickhouse.diff(owner, wanted({ logins: rotated }), serverWith(wanted()))
  expect(changes.map((c) => c.fields)).toEqual([[{ field: 'password' }], [{ field: 'password' }]])
  expect(JSON.stringify(changes.flatMap((c) => clickhouse.statements(c)))).toContain("sha256_hash BY '***'")
})

test('drops what is no longer wanted, in the opposite order, and nothing of another place of the same tenant', () => {
  const found = serverWith(wanted())
  expect(clickhouse.diff(owner, [], found).map((c) => c.summary)).toEqual([
    `drop user ${base}`,
    `drop user ${base}_ro`,
    `drop quota ${base}`,
    `drop profile ${base}`,
    `drop role ${role}`,
    'drop rows of t_acme_11111111 in d_olap_00000000',
  ])
  const withoutReader = wanted({ logins: logins.slice(0, 1), limits: {} })
  const summaries = clickhouse.diff(owner, withoutReader, found).map((c) => c.summary)
  expect(summaries.filter((s) => s.startsWith('drop'))).toEqual([
    `drop user ${base}_ro`,
    `drop quota ${base}`,
    `drop profile ${base}`,
  ])
  const elsewhere = wanted({ name: 't_acme_99999999', logins: [] })
  expect(clickhouse.diff(owner, elsewhere, found).filter((c) => c.op === 'drop')).toEqual([])
})

test('builds nothing upon an object that is not its own', () => {
  const found = serverWith(wanted())
  const without = new Map([...found.registry].filter(([id]) => !id.startsWith('role/')))
  const plan = clickhouse.diff(owner, wanted({ suspended: true }), { ...found, registry: without })
  expect(plan.map((c) => [c.op, c.target.kind, c.blocked?.code, c.blocked?.adoptable])).toEqual([
    ['adopt', 'role', 'Conflict', true],
    ['alter', 'user', 'Conflict', true],
    ['alter', 'user', 'Conflict', true],
  ])
})

test('leaves everything about users out where the server keeps none, and says so', () => {
  const embedded = { ...serverWith(wanted()), noAccessControl: 'No users here.' }
  expect(clickhouse.diff(owner, wanted({ suspended: true }), embedded)).toEqual([])
  expect(clickhouse.isolation(owner, embedded)).toEqual({ verdict: 'unsupported', evidence: 'No users here.' })
  expect(clickhouse.diff(owner, [], embedded).map((c) => c.target.kind)).toEqual(['rows'])
})

test('never depends on the order of the wanted list', () => {
  const all = wanted()
  const found = serverWith([], (a) => a.users.clear())
  const forward = clickhouse.diff(owner, all, found)
  fc.assert(
    fc.property(fc.shuffledSubarray([...all], { minLength: all.length }), (shuffled) => {
      expect(clickhouse.diff(owner, shuffled, found)).toEqual(forward)
    }),
  )
})
