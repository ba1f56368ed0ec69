import type { Owner, Proof } from '../model.ts'
import { policiesOf, tenantTables } from './diff-access.ts'
import { ADMIN_POLICY, expectedFilter, GUARD_POLICY } from './policies.ts'
import { placeOf, roleName, rowsId } from './resources.ts'
import { type ChSnapshot, classify, type FoundEntry, ownerKey } from './snapshot.ts'

/** See `Engine.isolation`. What a snapshot can disprove is said even where the server could enforce nothing. */
export function isolation(owner: Owner, found: ChSnapshot): Proof {
  const owned = found.owned.get(ownerKey(owner))
  const rows = owned?.entries.filter((e) => e.id === rowsId(e.base)) ?? []
  const shared =
    owner.kind === 'Database' ? (owned?.databases.map((d) => d.name) ?? []) : rows.map((e) => placeOf(e.detail).shared)
  const unsplit = shared.flatMap((database) => unsplitTables(database, found))
  if (unsplit.length > 0) return leaking(`${unsplit.join(', ')}: tenant_id is not the first column of the sorting key`)
  if (found.noAccessControl !== undefined) return { verdict: 'unsupported', evidence: found.noAccessControl }
  const bases = [...(owned?.databases.map((d) => d.name) ?? []), ...rows.map((e) => e.base)]
  const problems = [
    ...(owner.kind === 'Tenant' ? bases.flatMap((base) => foreignGrantees(base, owned?.entries ?? [], found)) : []),
    ...rows.flatMap((entry) => missingPolicies(entry, found)),
    ...shared.flatMap((database) => openTables(database, found)),
  ]
  if (problems.length > 0) return leaking(problems.join('; '))
  const policies = shared.reduce((sum, database) => sum + tenantTables(database, found).length, 0)
  const what =
    shared.length > 0
      ? `${policies} shared tables have a row policy`
      : `${bases.length} databases are granted to nobody else`
  return { verdict: 'isolated', evidence: `Read from the server's catalogue: ${what}.` }
}

function leaking(evidence: string): Proof {
  return { verdict: 'leaking', evidence }
}

function unsplitTables(database: string, found: ChSnapshot): readonly string[] {
  const tables = found.tables.get(database) ?? []
  return tables.filter((t) => classify(t) === 'unsplit').map((t) => `${database}.${t.name}`)
}

/** Another tenant's login or role that holds a right on the database, or is a member of the tenant's role. */
function foreignGrantees(base: string, entries: readonly FoundEntry[], found: ChSnapshot): readonly string[] {
  const ours = new Set(entries.filter((e) => e.base === base).map((e) => e.id.slice(e.id.indexOf('/') + 1)))
  const grants = (found.access.grantsOn.get(base) ?? []).filter(
    (g) => !ours.has(g.grantee) && g.grantee !== found.admin,
  )
  const members = (found.access.membersOf.get(roleName(base)) ?? []).filter(
    (m) => !ours.has(m.grantee) && m.grantee !== found.admin,
  )
  return [
    ...grants.map((g) => `${g.grantee} holds ${g.access} on ${base}`),
    ...members.map((m) => `${m.grantee} is a member of ${m.role}`),
  ]
}

function missingPolicies({ base, detail }: FoundEntry, found: ChSnapshot): readonly string[] {
  const { shared, tenantId } = placeOf(detail)
  const right = policiesOf(found, base, shared).filter((p) => p.filter === expectedFilter(tenantId))
  const covered = new Set(right.map((p) => p.table))
  const bare = tenantTables(shared, found).filter((table) => !covered.has(table))
  return bare.map((table) => `${shared}.${table} has no row policy for ${base}`)
}

function openTables(shared: string, found: ChSnapshot): readonly string[] {
  return [GUARD_POLICY, ADMIN_POLICY].flatMap((name) => {
    const covered = new Set(policiesOf(found, name, shared).map((p) => p.table))
    const bare = tenantTables(shared, found).filter((table) => !covered.has(table))
    return bare.map((table) => `${shared}.${table} lacks the policy ${name}`)
  })
}
