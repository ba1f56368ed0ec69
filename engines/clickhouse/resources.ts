import type { DatabaseInput, Limits, LoginInput, MigrationFile, Resource, TenantInput } from '../model.ts'

/** A right on all tables of a database, or on one. `access` as system.grants names it. */
export interface Grant {
  readonly access: string
  readonly database: string
  readonly table?: string
}

export interface DatabaseSpec {
  readonly base: string
}

export interface FileSpec {
  /** The database that is current while the file runs. */
  readonly base: string
  readonly file: MigrationFile
  /** `namespace/name` of the Tenant; absent in shared tables. */
  readonly tenant?: string
}

/** The policies that keep everybody but the administrator from rows of shared tables that no policy of theirs shows. */
export interface GuardSpec {
  readonly base: string
}

/** A tenant's rows in the shared tables. */
export interface RowsSpec {
  readonly base: string
  readonly shared: string
  readonly tenantId: string
}

/** Which data the tenant's role reads: its own database, or its rows of the shared tables. */
export type Reach =
  | { readonly kind: 'database'; readonly database: string }
  | { readonly kind: 'rows'; readonly shared: string; readonly tenantId: string }

export interface RoleSpec {
  readonly base: string
  readonly name: string
  readonly reach: Reach
  readonly members: readonly string[]
  /** Filled in by diff from the shared tables that exist: tables with a row policy. */
  readonly policies?: readonly string[]
  readonly grants?: readonly Grant[]
  /** Filled in by diff: found and not wanted. */
  readonly revoke?: readonly Grant[]
  readonly strangers?: readonly string[]
  readonly revokeRoles?: readonly string[]
  /** Filled in for a drop: where the tenant's row policies are. */
  readonly leftPolicies?: readonly { readonly database: string; readonly table: string }[]
}

export interface ProfileSpec {
  readonly base: string
  readonly role: string
  readonly settings: Readonly<Record<string, string>>
}

export interface QuotaSpec {
  readonly base: string
  readonly role: string
  readonly queriesPerHour: number
}

export interface UserSpec {
  readonly base: string
  readonly login: string
  readonly access: LoginInput['access']
  readonly fingerprint: string
  readonly suspended: boolean
  readonly role: string
  readonly grants: readonly Grant[]
  /** Filled in by diff: found and not wanted. */
  readonly revoke?: readonly Grant[]
  readonly revokeRoles?: readonly string[]
}

export type ChResource =
  | Resource<'database', DatabaseSpec>
  | Resource<'file', FileSpec>
  /** That a file is not applied; it has a down file. */
  | Resource<'reversal', FileSpec>
  | Resource<'guard', GuardSpec>
  | Resource<'rows', RowsSpec>
  | Resource<'role', RoleSpec>
  | Resource<'profile', ProfileSpec>
  | Resource<'quota', QuotaSpec>
  | Resource<'user', UserSpec>

export type Kind = ChResource['kind']
export type Of<K extends Kind> = Extract<ChResource, { kind: K }>

/** Kinds that exist only on servers that keep users, in the order in which they are made. */
export const ACCESS_KINDS = ['guard', 'role', 'profile', 'quota', 'user'] as const
export type AccessKind = (typeof ACCESS_KINDS)[number]

export function isAccess(resource: ChResource): resource is Of<AccessKind> {
  return (ACCESS_KINDS as readonly string[]).includes(resource.kind)
}

/** What a ReadWrite login may do in its own database: all but dropping the database or changing its comment, our mark. */
export const WRITES = [
  'INSERT',
  'ALTER TABLE',
  'ALTER VIEW',
  'CREATE TABLE',
  'CREATE VIEW',
  'DROP TABLE',
  'DROP VIEW',
  'TRUNCATE',
  'OPTIMIZE',
] as const

export function roleName(base: string): string {
  return `${base}_role`
}

export function loginName(base: string, access: LoginInput['access']): string {
  return access === 'ReadWrite' ? base : `${base}_ro`
}

/** Shared tables hold all tenants' rows, and a row policy does not bind writers: in `Row` every login only reads. */
export function tenantResources(input: TenantInput): readonly ChResource[] {
  const { name: base, shared, tenantId } = input
  if (input.isolation === 'Row') {
    const rows: ChResource = { kind: 'rows', id: rowsId(base), data: true, spec: { base, shared, tenantId } }
    return [rows, ...accessResources(input, { kind: 'rows', shared, tenantId })]
  }
  return [database(base), ...files(base, input), ...accessResources(input, { kind: 'database', database: base })]
}

/** In `Database` isolation every tenant has a database, and the Database itself owns nothing. */
export function databaseResources(input: DatabaseInput): readonly ChResource[] {
  if (input.isolation !== 'Row') return []
  const base = input.shared
  const guard: ChResource = { kind: 'guard', id: `guard/${base}`, data: true, spec: { base } }
  return [database(base), ...files(base, input), guard]
}

export function rowsId(base: string): string {
  return `rows/${base}`
}

function database(base: string): ChResource {
  return { kind: 'database', id: `database/${base}`, data: true, spec: { base } }
}

type Files = Pick<TenantInput, 'files' | 'reverted' | 'tenant'>

function files(base: string, { files: wanted, reverted = [], tenant }: Files): readonly ChResource[] {
  const specOf = (file: MigrationFile): FileSpec => ({ base, file, ...(tenant !== undefined && { tenant }) })
  const idOf = (kind: string, { version }: MigrationFile): string => `${kind}/${base}/${version}`
  return [
    ...reverted.map((f) => ({ kind: 'reversal', id: idOf('reversal', f), data: false, spec: specOf(f) }) as const),
    ...wanted.map((f) => ({ kind: 'file', id: idOf('file', f), data: true, spec: specOf(f) }) as const),
  ]
}

function accessResources(input: TenantInput, reach: Reach): readonly ChResource[] {
  const { name: base, limits, logins } = input
  const role = roleName(base)
  const members = logins.map((l) => l.login).toSorted()
  const settings = profileSettings(limits)
  const resources: ChResource[] = [
    { kind: 'role', id: `role/${role}`, data: false, spec: { base, name: role, reach, members } },
    ...logins.map((login) => user(input, login, reach)),
  ]
  if (Object.keys(settings).length > 0) {
    resources.push({ kind: 'profile', id: `profile/${base}`, data: false, spec: { base, role, settings } })
  }
  if (limits.queriesPerHour !== undefined) {
    const { queriesPerHour } = limits
    resources.push({ kind: 'quota', id: `quota/${base}`, data: false, spec: { base, role, queriesPerHour } })
  }
  return resources
}

function user(input: TenantInput, { login, access, fingerprint }: LoginInput, reach: Reach): ChResource {
  const { name: base, suspended } = input
  const writes = access === 'ReadWrite' && reach.kind === 'database'
  const grants = writes ? WRITES.map((right) => ({ access: right, database: reach.database })) : []
  const spec: UserSpec = { base, login, access, fingerprint, suspended, role: roleName(base), grants }
  return { kind: 'user', id: `user/${login}`, data: false, spec }
}

function profileSettings(limits: Limits): Readonly<Record<string, string>> {
  const { memoryBytes, statementTimeoutMs, connections } = limits
  return {
    ...(memoryBytes !== undefined && {
      max_memory_usage: String(memoryBytes),
      max_memory_usage_for_user: String(memoryBytes),
    }),
    ...(statementTimeoutMs !== undefined && { max_execution_time: String(Math.ceil(statementTimeoutMs / 1000)) }),
    ...(connections !== undefined && { max_concurrent_queries_for_user: String(connections) }),
  }
}

/** What a drop of a tenant's rows needs, as the registry keeps it. */
export function rowsDetail({ spec: { shared, tenantId } }: Of<'rows'>): string {
  return JSON.stringify({ shared, tenantId })
}

/** Shared database and tenant id of a `rows` entry; empty text, which matches no database, where it is damaged. */
export function placeOf(detail: string): { shared: string; tenantId: string } {
  try {
    const { shared, tenantId }: Record<string, unknown> = JSON.parse(detail)
    if (typeof shared === 'string' && typeof tenantId === 'string') return { shared, tenantId }
  } catch {
    // Falls through: somebody wrote to the registry by hand.
  }
  return { shared: '', tenantId: '' }
}
