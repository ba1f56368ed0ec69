import type { Circle } from './model.ts'
import type { FoundPolicy, SharedTable } from './snapshot.ts'

/** The one policy that Tenantry keeps on every shared table. */
export const POLICY = 'tenantry_tenant'

/** Kinds of relations that can have row security: tables and partitioned tables. */
const SECURABLE = ['r', 'p']

/** A table whose rows belong to tenants, each row to the one that its tenant_id names. */
export function isSecured({ kind, tenantType }: SharedTable): boolean {
  return SECURABLE.includes(kind) && tenantType !== undefined
}

/** A table that all tenants may read, because its comment says `tenantry:reference`. */
export function isReference(table: SharedTable): boolean {
  return table.reference && !isSecured(table)
}

/** A view shows what its owner may see, and the owner is under the same row security: as safe as its tables. */
export function isView({ kind }: SharedTable): boolean {
  return kind === 'v'
}

/** No row security and not meant for all: nobody gets it. */
export function isUnsafe(table: SharedTable): boolean {
  return !isSecured(table) && !isReference(table) && !isView(table)
}

/** What the groups may do with a table of the shared schema. */
export function grantsOfTable(table: SharedTable, { rw, ro }: Circle): Readonly<Record<string, string>> {
  if (isUnsafe(table)) return {}
  return isReference(table) ? { [rw]: 'r', [ro]: 'r' } : { [rw]: 'arwd', [ro]: 'r' }
}

/** The policy's expression as Postgres prints it. An id is text: other types are compared by their text. */
export function policyExpression(tenantType: string): string {
  const column = tenantType === 'text' ? 'tenant_id' : '(tenant_id)::text'
  return `(${column} = ( SELECT tenantry.tenant_id() AS tenant_id))`
}

/** True when the policy is ours as we made it. */
export function expectedPolicy(table: SharedTable, policy: FoundPolicy): boolean {
  const expression = policyExpression(table.tenantType ?? '')
  return (
    policy.permissive &&
    policy.command === '*' &&
    policy.toPublic &&
    policy.using === expression &&
    policy.check === expression
  )
}

/** Permissive policies add up: any other one opens the table further. */
export function isDanger({ name, permissive }: FoundPolicy): boolean {
  return permissive && name !== POLICY
}
