import type { FieldDiff, Owner } from '../model.ts'
import { type ChChange, compareEntry } from './compare.ts'
import { ADMIN_POLICY, expectedFilter, GUARD_POLICY } from './policies.ts'
import type { Grant, Of, RoleSpec } from './resources.ts'
import { type ChSnapshot, classify, type FoundGrant, type FoundPolicy } from './snapshot.ts'

export function diffGuard(
  owner: Owner,
  target: Of<'guard'>,
  found: ChSnapshot,
  filesPending: boolean,
): ChChange | undefined {
  const shared = target.spec.base
  const guarded = (name: string, filter: string, to: (p: FoundPolicy) => boolean): ReadonlySet<string> =>
    new Set(
      policiesOf(found, name, shared)
        .filter((p) => !p.restrictive && p.filter === filter && to(p))
        .map((p) => p.table),
    )
  const closed = guarded(GUARD_POLICY, '0', (p) => p.everybody)
  const open = guarded(ADMIN_POLICY, '1', (p) => p.to.includes(found.admin))
  const fields = tenantTables(shared, found)
    .filter((t) => !closed.has(t) || !open.has(t))
    .map((table): FieldDiff => ({ field: 'guard', want: table }))
  if (filesPending) fields.push({ field: 'guard', want: 'the tables of new files' })
  const entry = found.registry.get(target.id)
  return compareEntry({ owner, target, what: `guard of ${shared}`, exists: entry !== undefined, entry, fields })
}

export function diffRole(owner: Owner, target: Of<'role'>, found: ChSnapshot): ChChange | undefined {
  const spec = resolveRole(target.spec, found)
  const { name } = spec
  const wrongPolicies = spec.reach.kind === 'rows' ? misplacedPolicies(spec, found) : []
  const missing = missingGrants(spec.grants ?? [], found.access.grantsTo.get(name) ?? [])
  const fields: FieldDiff[] = [
    ...wrongPolicies.map((table) => ({ field: 'row policy', want: table })),
    ...missing.map((g) => ({ field: 'grant', want: printGrant(g) })),
    ...(spec.revoke ?? []).map((g) => ({ field: 'grant', found: printGrant(g) })),
    ...(spec.strangers ?? []).map((member) => ({ field: 'member', found: member })),
    ...(spec.revokeRoles ?? []).map((role) => ({ field: 'role', found: role })),
  ]
  const entry = found.registry.get(target.id)
  const exists = found.access.roles.has(name)
  return compareEntry({ owner, target: { ...target, spec }, what: `role ${name}`, exists, entry, fields })
}

/** The role with what follows from the tables that exist: its policies, its grants, and what it has too much. */
function resolveRole(spec: RoleSpec, found: ChSnapshot): RoleSpec {
  const { reach, name, members } = spec
  const policies = reach.kind === 'rows' ? tenantTables(reach.shared, found) : []
  const grants = reach.kind === 'rows' ? readableTables(reach.shared, found) : readDatabase(reach.database)
  return {
    ...spec,
    policies,
    grants,
    revoke: excessGrants(grants, found.access.grantsTo.get(name) ?? []),
    strangers: (found.access.membersOf.get(name) ?? []).map((m) => m.grantee).filter((m) => !members.includes(m)),
    revokeRoles: (found.access.rolesOf.get(name) ?? []).map((m) => m.role),
  }
}

function readDatabase(database: string): readonly Grant[] {
  return [
    { access: 'SELECT', database },
    { access: 'dictGet', database },
  ]
}

function readableTables(shared: string, found: ChSnapshot): readonly Grant[] {
  return (found.tables.get(shared) ?? [])
    .filter((t) => classify(t) === 'tenant' || classify(t) === 'reference')
    .map((t) => ({ access: 'SELECT', database: shared, table: t.name }))
    .toSorted((a, b) => (a.table < b.table ? -1 : 1))
}

export function tenantTables(shared: string, found: ChSnapshot): readonly string[] {
  const tables = (found.tables.get(shared) ?? []).filter((t) => classify(t) === 'tenant')
  return tables.map((t) => t.name).toSorted()
}

function misplacedPolicies({ base, name, reach, policies = [] }: RoleSpec, found: ChSnapshot): readonly string[] {
  if (reach.kind !== 'rows') return []
  const filter = expectedFilter(reach.tenantId)
  const right = policiesOf(found, base, reach.shared).filter(
    (p) => p.filter === filter && !p.restrictive && !p.everybody && sameList(p.to, [name]),
  )
  const tables = new Set(right.map((p) => p.table))
  return policies.filter((table) => !tables.has(table))
}

export function policiesOf(found: ChSnapshot, name: string, database: string): readonly FoundPolicy[] {
  return (found.access.policies.get(name) ?? []).filter((p) => p.database === database)
}

export function diffProfile(owner: Owner, target: Of<'profile'>, found: ChSnapshot): ChChange | undefined {
  const { base, role, settings } = target.spec
  const there = found.access.profiles.get(base)
  const want = Object.entries(settings).map(([name, value]) => `${name}=${value} CONST`)
  const fields = [...differing('settings', want, there?.settings), ...differing('recipients', [role], there?.to)]
  const entry = found.registry.get(target.id)
  return compareEntry({ owner, target, what: `settings profile ${base}`, exists: there !== undefined, entry, fields })
}

export function diffQuota(owner: Owner, target: Of<'quota'>, found: ChSnapshot): ChChange | undefined {
  const { base, role, queriesPerHour } = target.spec
  const there = found.access.quotas.get(base)
  const fields = [
    ...differing('limits', [`3600: queries=${queriesPerHour}`], there?.limits),
    ...differing('key', ['user_name'], there?.keys),
    ...differing('recipients', [role], there?.to),
  ]
  const entry = found.registry.get(target.id)
  return compareEntry({ owner, target, what: `quota ${base}`, exists: there !== undefined, entry, fields })
}

export function diffUser(owner: Owner, target: Of<'user'>, found: ChSnapshot): ChChange | undefined {
  const { login, access, suspended, role, grants, fingerprint } = target.spec
  const there = found.access.users.get(login)
  const foundGrants = found.access.grantsTo.get(login) ?? []
  const roles = (found.access.rolesOf.get(login) ?? []).map((m) => m.role)
  const revoke = excessGrants(grants, foundGrants)
  const revokeRoles = roles.filter((r) => r !== role)
  const entry = found.registry.get(target.id)
  const fields: FieldDiff[] = [
    ...differing('hosts', [suspended ? 'none' : 'any'], there && [there.hosts]),
    ...differing('settings', access === 'ReadOnly' ? ['readonly=2 CONST'] : [], there?.settings),
    ...differing('roles', [role], roles),
    ...differing('default roles', ['all'], there && [there.allRolesDefault ? 'all' : 'some']),
    ...missingGrants(grants, foundGrants).map((g) => ({ field: 'grant', want: printGrant(g) })),
    ...revoke.map((g) => ({ field: 'grant', found: printGrant(g) })),
  ]
  if (entry?.mark && entry.mark.facts.credential !== fingerprint) fields.push({ field: 'password' })
  const resolved = { ...target, spec: { ...target.spec, revoke, revokeRoles } }
  const facts = { credential: fingerprint }
  const risk = suspended ? 'disruptive' : 'safe'
  const exists = there !== undefined
  return compareEntry({ owner, target: resolved, what: `user ${login}`, exists, entry, fields, facts, risk })
}

function differing(field: string, want: readonly string[], found: readonly string[] | undefined): readonly FieldDiff[] {
  if (!found || sameList(want, found)) return []
  return [{ field, want: want.join(', '), found: found.join(', ') }]
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify(a.toSorted()) === JSON.stringify(b.toSorted())
}

export function printGrant({ access, database, table }: Grant): string {
  return `${access} ON ${database || '*'}.${table ?? '*'}`
}

function missingGrants(wanted: readonly Grant[], found: readonly FoundGrant[]): readonly Grant[] {
  const have = new Set(found.filter((g) => !g.irregular).map(printGrant))
  return wanted.filter((g) => !have.has(printGrant(g)))
}

function excessGrants(wanted: readonly Grant[], found: readonly FoundGrant[]): readonly Grant[] {
  const want = new Set(wanted.map(printGrant))
  return found.filter((g) => g.irregular || !want.has(printGrant(g)))
}
