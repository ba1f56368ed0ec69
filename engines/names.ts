import { hash as digest } from 'node:crypto'

/** An object's namespace and name in Kubernetes. */
export interface NamespacedName {
  readonly namespace: string
  readonly name: string
}

const SLUG_LENGTH = 40

/**
 * The tenant's id in shared tables: `t_` + slug (≤ 40) + `_` + 8 hex digits. Depends on the Tenant's namespace and name
 * alone, so that one tenant has one id in every engine and after a cluster is rebuilt.
 */
export function tenantId(tenant: NamespacedName): string {
  return `t_${slug(tenant.name)}_${hash([tenant.namespace, tenant.name])}`
}

/**
 * The base name of a tenant's objects in one Database: same form as `tenantId`, hashed with the Database as well, because
 * roles are server-wide and two Databases may share a server. At most 51 characters: a suffix of 12 still fits Postgres' 63.
 */
export function objectName(tenant: NamespacedName, database: NamespacedName): string {
  return `t_${slug(tenant.name)}_${hash([tenant.namespace, tenant.name, database.namespace, database.name])}`
}

/** The base name of what a Database owns on its shards (shared schema of `Row`): `d_` + slug + `_` + 8 hex digits. */
export function databaseName(database: NamespacedName): string {
  return `d_${slug(database.name)}_${hash([database.namespace, database.name])}`
}

function slug(name: string): string {
  const cleaned = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, SLUG_LENGTH)
  return cleaned.replace(/^_+|_+$/g, '') || 'x'
}

function hash(parts: readonly string[]): string {
  return digest('sha256', parts.join('\0'), 'hex').slice(0, 8)
}
