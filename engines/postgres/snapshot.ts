import type { Mark } from '../mark.ts'
import type { Owner } from '../model.ts'
import type { Acl } from './acl.ts'

/** The server and the shard's database, as the administrative user sees them. */
export interface Server {
  /** `server_version_num`: 160014. */
  readonly version: number
  readonly admin: string
  readonly superuser: boolean
  readonly database: string
}

export interface Membership {
  readonly role: string
  readonly member: string
  readonly inherit: boolean
  readonly set: boolean
  /** A superuser gains nothing by a membership. */
  readonly bySuperuser: boolean
}

export type Attribute = 'superuser' | 'createrole' | 'createdb' | 'replication' | 'bypassrls'

export interface FoundRole {
  readonly name: string
  readonly canLogin: boolean
  readonly inherit: boolean
  readonly expires: boolean
  readonly attributes: Readonly<Record<Attribute, boolean>>
  readonly connectionLimit: number
  /** `name=value`, as kept in pg_db_role_setting for all databases. */
  readonly settings: readonly string[]
  /** Settings for this database alone: they would win over `settings`. */
  readonly localSettings: readonly string[]
  readonly sessions: number
  readonly comment: string | undefined
  readonly mark: Mark | undefined
  readonly memberOf: readonly Membership[]
  readonly members: readonly Membership[]
  /** sha256 hex of the stored verifier, '' for none; undefined where pg_authid cannot be read. */
  readonly verifierHash: string | undefined
}

export type ObjectKind = 'table' | 'sequence' | 'function'

/** Objects of one schema with equal owner and ACL. */
export interface ObjectGroup {
  readonly kind: ObjectKind
  readonly owner: string
  readonly acl: Acl
  readonly count: number
}

/** One row of pg_default_acl. `schema` is '' for what holds in all schemas; `type` is r, S, f, T or n. */
export interface DefaultAcl {
  readonly schema: string
  readonly type: string
  readonly acl: Acl
}

export interface FoundPolicy {
  readonly name: string
  readonly permissive: boolean
  readonly command: string
  readonly toPublic: boolean
  readonly using: string | null
  readonly check: string | null
}

/** A table, view or foreign table of a shared schema. */
export interface SharedTable {
  readonly name: string
  /** pg_class.relkind. */
  readonly kind: string
  readonly owner: string
  readonly rowSecurity: boolean
  readonly forced: boolean
  readonly reference: boolean
  /** Type of column tenant_id; undefined where there is none. */
  readonly tenantType: string | undefined
  readonly acl: Acl
  readonly policies: readonly FoundPolicy[]
}

export interface FoundSchema {
  readonly name: string
  readonly owner: string
  readonly acl: Acl
  readonly comment: string | undefined
  readonly mark: Mark | undefined
  readonly objects: readonly ObjectGroup[]
  /** Tables of a shared schema; empty for a tenant's own. */
  readonly tables: readonly SharedTable[]
}

/** What a tenant's own database holds, read over a connection to it. */
export interface Inside {
  readonly schemas: ReadonlyMap<string, FoundSchema>
  readonly defaults: ReadonlyMap<string, readonly DefaultAcl[]>
  readonly publicAcl: Acl | undefined
  readonly extensions: ReadonlySet<string>
}

export interface FoundDatabase {
  readonly name: string
  readonly owner: string
  readonly acl: Acl
  readonly comment: string | undefined
  readonly mark: Mark | undefined
  /** Undefined in a snapshot of the whole shard, which opens no connection for each tenant. */
  readonly inside: Inside | undefined
}

export interface FoundControl {
  readonly comment: string | undefined
  readonly mark: Mark | undefined
  readonly acl: Acl
  /** True when all tables and the index are there. */
  readonly complete: boolean
  readonly tablesClosed: boolean
  readonly functionBody: string | undefined
  readonly functionSafe: boolean
  readonly functionAcl: Acl
}

export interface FoundBinding {
  readonly login: string
  readonly tenantId: string
  readonly comment: string
  readonly mark: Mark | undefined
}

export interface FoundTenant {
  readonly name: string
  readonly tenantId: string
  readonly shared: string
  readonly comment: string
  readonly mark: Mark | undefined
}

/** Names of everything marked by one owner. */
export interface Owned {
  readonly roles: string[]
  readonly schemas: string[]
  readonly databases: string[]
  readonly bindings: string[]
  readonly tenants: string[]
}

/** Everything Tenantry has on one shard, or the part of it that a scope names. */
export interface PgSnapshot {
  readonly server: Server
  readonly gate: string
  readonly databaseAcl: Acl
  readonly publicAcl: Acl | undefined
  /** Extension name to its schema. */
  readonly extensions: ReadonlyMap<string, string>
  readonly control: FoundControl | undefined
  readonly roles: ReadonlyMap<string, FoundRole>
  readonly schemas: ReadonlyMap<string, FoundSchema>
  readonly defaults: ReadonlyMap<string, readonly DefaultAcl[]>
  /** Schema to version to checksum. Schemas with the same history share one map. */
  readonly ledger: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly bindings: ReadonlyMap<string, FoundBinding>
  readonly tenants: ReadonlyMap<string, FoundTenant>
  readonly databases: ReadonlyMap<string, FoundDatabase>
  readonly owned: ReadonlyMap<string, Owned>
}

/** Index key of an owner in `PgSnapshot.owned`. */
export function ownerKey({ installation, kind, namespace, name }: Owner): string {
  return JSON.stringify([installation, kind, namespace, name])
}
