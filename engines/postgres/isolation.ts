import { sameOwner } from '../mark.ts'
import type { Owner, Proof } from '../model.ts'
import { type Acl, displayGrantee } from './acl.ts'
import { circle } from './names.ts'
import { expectedPolicy, isDanger, isSecured, isUnsafe, POLICY } from './shared-tables.ts'
import {
  type FoundRole,
  type FoundSchema,
  type Owned,
  ownerKey,
  type PgSnapshot,
  type SharedTable,
} from './snapshot.ts'

const NOTHING: Owned = { roles: [], schemas: [], databases: [], bindings: [], tenants: [] }

/**
 * Pure: whether the grants, memberships, row security and bindings in the snapshot keep everybody else out. A whole-shard
 * snapshot does not show what is inside a tenant's own database; the probe and scoped snapshots do.
 */
export function isolation(owner: Owner, found: PgSnapshot): Proof {
  const owned = found.owned.get(ownerKey(owner)) ?? NOTHING
  const schemas = schemasOf(found, owned)
  const shared = sharedSchemas(owner, found, owned)
  const findings = [
    ...owned.roles.flatMap((name) => roleFindings(owner, found, name)),
    ...schemas.flatMap((schema) => schemaFindings(owner, found, schema)),
    ...owned.databases.flatMap((name) => databaseFindings(owner, found, name)),
    ...shared.flatMap((name) => sharedFindings(found, name)),
    ...bindingFindings(found, owned),
  ]
  const [first, ...rest] = findings
  if (first !== undefined) {
    return { verdict: 'leaking', evidence: rest.length > 0 ? `${first}; and ${rest.length} more of the kind` : first }
  }
  const tables = shared.flatMap((name) => found.schemas.get(name)?.tables.filter(isSecured) ?? []).length
  const places = owned.schemas.length + owned.databases.length
  const rows = shared.length > 0 ? `; ${tables} shared tables have forced row security with only Tenantry's policy` : ''
  return {
    verdict: 'isolated',
    evidence: `no grant or membership lets anybody else in, over ${owned.roles.length} roles and ${places} schemas or databases${rows}`,
  }
}

function schemasOf(found: PgSnapshot, owned: Owned): readonly FoundSchema[] {
  const inside = owned.databases.flatMap((name) => [...(found.databases.get(name)?.inside?.schemas.values() ?? [])])
  return [...owned.schemas.flatMap((name) => found.schemas.get(name) ?? []), ...inside]
}

/** Schemas whose rows are shared: those that a Row tenant lives in, and those of a Database. */
function sharedSchemas(owner: Owner, found: PgSnapshot, owned: Owned): readonly string[] {
  const used = owned.tenants.flatMap((name) => found.tenants.get(name)?.shared ?? [])
  return owner.kind === 'Database' ? [...used, ...owned.schemas] : used
}

function isOwn(owner: Owner, found: PgSnapshot, name: string): boolean {
  const mark = found.roles.get(name)?.mark
  if (name === found.server.admin) return true
  if (!mark) return false
  return owner.kind === 'Database' || sameOwner(mark, owner)
}

function roleFindings(owner: Owner, found: PgSnapshot, name: string): readonly string[] {
  const role = found.roles.get(name)
  if (!role) return []
  const strange = role.members.filter(({ member, bySuperuser }) => !bySuperuser && !isOwn(owner, found, member))
  const parents = role.memberOf.filter((m) => m.role !== found.gate && !isParent(owner, found, m.role))
  const trusted = role.mark?.facts.use === 'trusted'
  return [
    ...raised(role).map((attribute) => `role ${name} has ${attribute}`),
    ...(trusted ? [] : strange.map(({ member }) => `role ${member} is a member of ${name}`)),
    ...parents.map((m) => `role ${name} is a member of ${m.role}`),
  ]
}

function raised({ attributes }: FoundRole): readonly string[] {
  return Object.entries(attributes).flatMap(([attribute, value]) => (value ? [attribute.toUpperCase()] : []))
}

/** Row tenants' logins are members of the groups of their shared schema. */
function isParent(owner: Owner, found: PgSnapshot, role: string): boolean {
  if (isOwn(owner, found, role)) return true
  const owned = found.owned.get(ownerKey(owner)) ?? NOTHING
  const shared = owned.tenants.flatMap((name) => found.tenants.get(name)?.shared ?? [])
  return shared.map((name) => circle(name)).some(({ rw, ro }) => role === rw || role === ro)
}

function schemaFindings(owner: Owner, found: PgSnapshot, schema: FoundSchema): readonly string[] {
  const strange = (acl: Acl): readonly string[] => [...acl.keys()].filter((name) => !isOwn(owner, found, name))
  const tables = schema.objects.filter(({ kind }) => kind === 'table')
  return [
    ...(isOwn(owner, found, schema.owner) ? [] : [`schema ${schema.name} belongs to role ${schema.owner}`]),
    ...strange(schema.acl).map((name) => `schema ${schema.name} is open to ${displayGrantee(name)}`),
    ...tables.flatMap(({ acl }) =>
      strange(acl).map((name) => `a table in schema ${schema.name} is open to ${displayGrantee(name)}`),
    ),
    ...tables
      .filter((group) => !isOwn(owner, found, group.owner))
      .map((group) => `a table in schema ${schema.name} belongs to role ${group.owner}`),
  ]
}

function databaseFindings(owner: Owner, found: PgSnapshot, name: string): readonly string[] {
  const strange = [...(found.databases.get(name)?.acl.keys() ?? [])].filter((grantee) => !isOwn(owner, found, grantee))
  return strange.map((grantee) => `database ${name} is open to ${displayGrantee(grantee)}`)
}

function sharedFindings(found: PgSnapshot, name: string): readonly string[] {
  const schema = found.schemas.get(name)
  if (!schema) return [`shared schema ${name} is missing`]
  const { owner } = circle(name)
  const role = found.roles.get(owner)
  const exempt = role && (role.attributes.superuser || role.attributes.bypassrls)
  return [
    ...(exempt ? [`role ${owner} is exempt from row security`] : []),
    ...schema.tables.flatMap((table) => tableFindings(`${name}.${table.name}`, owner, table)),
  ]
}

function tableFindings(title: string, owner: string, table: SharedTable): readonly string[] {
  const wrongOwner = table.owner === owner ? [] : [`table ${title} belongs to role ${table.owner}`]
  if (isUnsafe(table)) {
    return [
      `table ${title} has no row security: give it a column tenant_id, or the comment tenantry:reference if all may read it`,
    ]
  }
  if (!isSecured(table)) return wrongOwner
  const policy = table.policies.find((p) => p.name === POLICY)
  return [
    ...wrongOwner,
    ...(table.rowSecurity ? [] : [`table ${title} has row security disabled`]),
    ...(table.forced ? [] : [`table ${title} does not force row security`]),
    ...(policy && expectedPolicy(table, policy) ? [] : [`table ${title} lacks the policy ${POLICY}`]),
    ...table.policies.filter(isDanger).map((p) => `table ${title} has a further permissive policy ${p.name}`),
  ]
}

/** A login without a binding reads nothing; one with another's reads another's. */
function bindingFindings(found: PgSnapshot, owned: Owned): readonly string[] {
  const ids = new Set(owned.tenants.map((name) => found.tenants.get(name)?.tenantId))
  if (ids.size === 0) return []
  const logins = owned.roles.filter((name) => found.roles.get(name)?.mark?.facts.use === 'login')
  return logins
    .filter((login) => !ids.has(found.bindings.get(login)?.tenantId))
    .map((login) => `login ${login} is not bound to its tenant`)
}
