import type { DownFile, MigrationFile, Resource } from '../model.ts'

/** The roles around one schema. `place` names the tenant's own database when the schema is not in the shard's database. */
export interface Circle {
  readonly schema: string
  readonly owner: string
  readonly rw: string
  readonly ro: string
  readonly place?: string
}

/** What a role is for. Kept as a fact in its mark, so that a dropped object's role is still understood. */
export type RoleUse = 'owner' | 'group' | 'login' | 'trusted'

/** The part of a role that only a login has. */
export interface LoginSpec {
  readonly enabled: boolean
  /** `fingerprint(login, password)`; compared with the fact `credential` of the mark. */
  readonly fingerprint: string
  /** -1 for no limit. */
  readonly connectionLimit: number
  readonly settings: Readonly<Record<string, string>>
  /** Filled in by diff when the password stays: the fact `verifier` of the mark. */
  readonly verifier?: string
}

export interface RoleSpec {
  readonly name: string
  readonly use: RoleUse
  /** Exactly these, the gate aside. */
  readonly memberOf: readonly string[]
  /** The role that takes over whatever this one owns when it is dropped. */
  readonly heir?: string
  /** The tenant's own database, where its rights are. */
  readonly place?: string
  readonly login?: LoginSpec
}

/** A server-wide role. Data only when it owns customers' data. */
export type RoleResource = Resource<'Role', RoleSpec>

/**
 * The way into the shard's database: a group with CONNECT and USAGE of `public`, which are closed for everybody else. One
 * group, and not a grant for each tenant, keeps the database's ACL short. `gate` is filled in by diff, because its name
 * depends on the database: groups are server-wide.
 */
export type Gate = Resource<'Gate', { readonly gate: string }>

/** Roles that pass the gate. */
export type Entry = Resource<'Entry', { readonly gate: string; readonly members: readonly string[] }>

/** Schema `tenantry`: registry and migration ledger. `trusted` names the role that may switch tenants. */
export type ControlSchema = Resource<
  'ControlSchema',
  { readonly gate: string; readonly version: string; readonly trusted: string }
>

/** An extension in schema `public`; never dropped, because columns and indexes may be made of it. */
export type Extension = Resource<'Extension', { readonly name: string }>

export type SchemaResource = Resource<'Schema', Circle>
export type DefaultPrivileges = Resource<'DefaultPrivileges', Circle & { readonly tables: boolean }>
/** Owner and grants of all tables, sequences and functions of a tenant's schema. */
export type ObjectGrants = Resource<'ObjectGrants', Circle>
/** Row security, owner and grants of all tables of the shared schema. */
export type SharedTables = Resource<'SharedTables', Circle>

/** A database of the tenant's own, with the shard's extensions, closed for all but the tenant's groups. */
export type TenantDatabase = Resource<
  'TenantDatabase',
  { readonly name: string; readonly owner: string; readonly rw: string; readonly ro: string }
>

/** Binds a login role to its tenant id, so that the tenant cannot name another. */
export type Binding = Resource<'Binding', { readonly login: string; readonly tenantId: string }>

/** A tenant's rows in all tables of the shared schema. */
export type TenantRows = Resource<
  'TenantRows',
  { readonly name: string; readonly tenantId: string; readonly shared: string }
>

/** Where a file runs. */
export interface Site extends Circle {
  /** The schema's tables are shared by tenants: they get their row security in the file's transaction. */
  readonly shared: boolean
  /** What `:'tenant'` stands for. */
  readonly tenant?: string
}

/** One SQL file in one schema. */
export type Migration = Resource<'Migration', Site & Omit<MigrationFile, 'down'>>

/** A SQL file that must not be applied, and what undoes it where it was. */
export type Reversal = Resource<
  'Reversal',
  Site & Pick<MigrationFile, 'version' | 'name' | 'checksum'> & { readonly down: DownFile }
>

/** An object of a schema that went missing, to be made anew as the SQL files make it. Nothing that is there is changed. */
export type SchemaObject = Resource<
  'SchemaObject',
  Circle & {
    /** For people: `index orders_customer`. */
    readonly title: string
    /** Each made by us out of what the server says of an object that a file made. */
    readonly statements: readonly string[]
    /** A table that has rows is locked meanwhile. */
    readonly locks: boolean
  }
>

export type PgResource =
  | RoleResource
  | Gate
  | Entry
  | ControlSchema
  | Extension
  | SchemaResource
  | DefaultPrivileges
  | ObjectGrants
  | SharedTables
  | TenantDatabase
  | Binding
  | TenantRows
  | Migration
  | Reversal
  | SchemaObject

export type Kind = PgResource['kind']
