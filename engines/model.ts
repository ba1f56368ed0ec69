/**
 * What the operator's pipeline and the three engines agree on. A kind compiles to resources; an engine observes a
 * shard, compares, and applies the difference. The difference is a value: plan, dry run, approval, audit, drift and
 * delete are all made of `Change`.
 */
import type { AppError } from '@tenantry/crds/errors.ts'

export type EngineName = 'PostgreSQL' | 'Redis' | 'ClickHouse'

/** Whose an engine object is. `uid` tells a re-created object from the old one; the names alone decide ownership. */
export interface Owner {
  readonly installation: string
  readonly kind: 'Tenant' | 'Database'
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** One thing that should exist on a shard. */
export interface Resource<K extends string = string, S = unknown> {
  readonly kind: K
  /** Unique on the shard among all kinds: `<kind>/<engine-side name>`. */
  readonly id: string
  readonly spec: S
  /** True for what holds or guards customers' data: never dropped under `deletionPolicy: Retain`. */
  readonly data: boolean
}

export type Risk = 'safe' | 'disruptive' | 'destructive'

/** One differing attribute, printable: never a password, verifier or hash of one. */
export interface FieldDiff {
  readonly field: string
  readonly want?: string
  readonly found?: string
}

/** Why a change must not run by itself. `adoptable`: the adopt annotation may release it. The message says what to do. */
export interface Blocked {
  readonly code: 'Conflict' | 'MigrationChanged'
  readonly message: string
  readonly adoptable: boolean
}

/** One difference between wanted and found. Changes of a plan are in the order in which they must be applied. */
export interface Change<R extends Resource = Resource> {
  readonly op: 'create' | 'alter' | 'drop' | 'adopt'
  readonly target: R
  readonly risk: Risk
  readonly fields: readonly FieldDiff[]
  /** One line for people: `create role t_acme_1f2e3d4c_owner`. */
  readonly summary: string
  readonly blocked?: Blocked
}

/** What became of a batch: changes are applied in order and the first failure ends the batch. */
export interface Applied<R extends Resource = Resource> {
  readonly done: readonly Change<R>[]
  readonly failed?: { readonly change: Change<R>; readonly error: AppError }
}

/** Looks up the plain password of an engine login by its engine-side name; throws AppError `SecretNotFound` when it has none. */
export type SecretReader = (login: string) => string

/** Changes of one owner on one shard. */
export interface Batch<R extends Resource = Resource> {
  readonly owner: Owner
  readonly changes: readonly Change<R>[]
  readonly secrets: SecretReader
  /** Absent: no rollout is under way, as when a tenant is made. */
  readonly run?: Run
}

/** What to read: the whole shard, or the objects of the given base names (`t_…`, see names.ts) with everything that collides with them. */
export type Scope = 'all' | readonly string[]

/** A parsed connection Secret. Plain values; never logged or put into an error. */
export interface Connection {
  readonly host: string
  readonly port: number
  readonly username?: string
  readonly password?: string
  /** Postgres and ClickHouse: the database to work in. */
  readonly database?: string
  /** Verify the server's certificate (`ca` if given, else the system's roots); `insecure` encrypts without verifying. */
  readonly tls: 'off' | 'verify' | 'insecure'
  readonly ca?: string
}

export interface SessionOptions {
  /** This installation's id: part of every ownership mark. */
  readonly installation: string
  /**
   * The fencing epoch of the leader that writes, asked for at each batch. A server that has seen a higher epoch of this
   * installation refuses the batch with AppError `Fenced`; a lower one is raised with the first write. Whole and positive; absent: this session is not fenced.
   */
  readonly epoch?: () => number
  /** Whose epochs are compared: one name for each Lease that is competed for. Absent: `installation`. */
  readonly fence?: string
  readonly connectTimeoutMs: number
  readonly statementTimeoutMs: number
  /** Upper bound of pooled connections to this shard. */
  readonly maxConnections: number
  /** The server is told to refuse every write of this session. PostgreSQL only. */
  readonly readOnly?: boolean
}

/** A shard's health, as far as one round of cheap queries tells. Sizes in bytes. */
export interface Health {
  readonly version: string
  readonly latencyMs: number
  readonly sizeBytes: number
  readonly tables: number
  readonly connections: number
  /** False where the server cannot hold users and policies (embedded ClickHouse). */
  readonly accessControl: boolean
}

/** A login to prove isolation with. `name` is the tenant's base name on the shard. */
export interface ProbeLogin {
  readonly owner: Owner
  readonly name: string
  readonly login: string
  readonly password: string
}

/** Outcome of an isolation proof; `evidence` is one sentence for people that says what was tried and seen. */
export interface Proof {
  readonly verdict: 'isolated' | 'leaking' | 'unsupported'
  readonly evidence: string
}

/** A name in a SQL file that stands for a value of the tenant's: `:"schema"` (an identifier), `:'schema'` and `:'tenant'` (literals). */
export interface Placeholder {
  /** Of the characters of the body that it takes the place of. */
  readonly start: number
  readonly end: number
  readonly value: 'schema' | 'tenant'
  readonly as: 'identifier' | 'literal'
}

/** A table, or a column of one, that a down file drops: it must hold nothing when it does. */
export interface Emptiness {
  readonly table: string
  readonly column?: string
}

/** A SQL text of `Database.spec.schema`. `checksum` is sha256 hex over the body with LF line ends, placeholders as they stand in it. */
export interface SqlText {
  readonly name: string
  readonly checksum: string
  readonly body: string
  readonly placeholders?: readonly Placeholder[]
}

/** What undoes a file. It runs in one transaction, and only while all of `guards` hold nothing. */
export interface DownFile extends SqlText {
  readonly guards: readonly Emptiness[]
}

/** One SQL file of `Database.spec.schema`. `version` orders files by compareVersions of versions.ts. */
export interface MigrationFile extends SqlText {
  readonly version: string
  /** Where each statement of a file that runs outside a transaction begins and ends in the body. Absent: it runs as one, in a transaction. */
  readonly statements?: readonly { readonly start: number; readonly end: number }[]
  /** Absent: the file cannot be undone. */
  readonly down?: DownFile
  /** The ledger may hold another text of this version: this one is recorded in its place, and not run. */
  readonly repair?: boolean
}

/** On whose account SQL files are applied: kept in the ledger. */
export interface Run {
  /** Names one rollout. */
  readonly id: string
  /** Who asked for it, as Kubernetes knows them. */
  readonly by: string
}

export type Isolation = 'Schema' | 'Row' | 'Database' | 'Prefix'

export interface LoginInput {
  readonly access: 'ReadWrite' | 'ReadOnly'
  /** Engine-side login name, from `Engine.loginName`. */
  readonly login: string
  /** `fingerprint(login, password)` of credential.ts: a difference from the one in the mark means the password must be set. */
  readonly fingerprint: string
}

/** Bytes, milliseconds and counts; undefined means no limit of ours. */
export interface Limits {
  readonly connections?: number
  readonly statementTimeoutMs?: number
  readonly memoryBytes?: number
  readonly queriesPerHour?: number
}

/** Everything a tenant's resources on one shard depend on. */
export interface TenantInput {
  readonly isolation: Isolation
  /** `objectName(tenant, database)` of names.ts. */
  readonly name: string
  /** `tenantId(tenant)` of names.ts: the value of `tenant_id` in shared tables. */
  readonly tenantId: string
  /** `databaseName(database)` of names.ts: what the Database itself owns on the shard (shared tables). */
  readonly shared: string
  readonly suspended: boolean
  readonly logins: readonly LoginInput[]
  readonly limits: Limits
  /** For isolations with tables of the tenant's own; shared tables' files come with DatabaseInput. */
  readonly files: readonly MigrationFile[]
  /** Files that must not be applied: those that are get undone, the last first. Each has a `down`. */
  readonly reverted?: readonly MigrationFile[]
  /** What `:'tenant'` stands for: `namespace/name` of the Tenant. */
  readonly tenant?: string
}

/** Everything the resources that a Database itself owns on each shard depend on. */
export interface DatabaseInput {
  readonly isolation: Isolation
  readonly shared: string
  readonly extensions: readonly string[]
  readonly files: readonly MigrationFile[]
  readonly reverted?: readonly MigrationFile[]
}

/** One object of a schema that is not as the SQL files make it. `:schema` stands for the schema's name; there are no literals in it. */
export interface ObjectDifference {
  readonly kind: string
  readonly name: string
  /** `extra`: no file makes it. */
  readonly state: 'missing' | 'extra' | 'different'
  readonly fields: readonly FieldDiff[]
}

/** A schema whose objects are to be compared with what its SQL files make. */
export interface SchemaSubject {
  readonly schema: string
  /** What `:'tenant'` stands for in it. */
  readonly tenant?: string
  /** The database where the schema is, if it is not the shard's. */
  readonly place?: string
}

/** Schemas that the same SQL files are for. */
export interface SchemaQuestion {
  readonly files: readonly MigrationFile[]
  /** Their tables are shared by tenants. */
  readonly shared: boolean
  readonly subjects: readonly SchemaSubject[]
}

/** What came of comparing one schema. */
export interface SchemaAnswer {
  readonly schema: string
  /** Of the last file in its ledger. */
  readonly version?: string
  readonly differences: readonly ObjectDifference[]
  /** What would bring back those that can be brought back without changing or dropping anything. */
  readonly repairs: readonly Resource[]
  /** Why it cannot be judged, for people; then there are no differences. */
  readonly unknown?: string
}

/** One SQL file in the ledger of a shard, over all schemas that it was applied to. */
export interface AppliedFile {
  readonly version: string
  readonly name: string
  /** sha256 in hex: files of one version with different texts are told apart. */
  readonly checksum: string
  /** Null: it was never applied. */
  readonly firstAt: Date | null
  readonly lastAt: Date | null
  /** Schemas where it counts. */
  readonly live: number
  /** Schemas where it does not any more: they were dropped, or the file was undone. */
  readonly retired: number
  /** Attempts that failed, as far as the ledger records them. */
  readonly failures: number
  /** Who applied it. */
  readonly by: readonly string[]
}

/** A schema to be drawn: one that is there, or what files make of an empty one. */
export type Drawn = SchemaSubject | Pick<SchemaQuestion, 'files' | 'shared'>

/** Where a tenant lives on a shard, as shown in status and Secret. `database` is what a client connects to. */
export interface Address {
  readonly database?: string
  readonly schema?: string
  readonly keyPrefix?: string
}

/** A live connection pool to one shard. Every method throws AppError only, and gives up when `signal` aborts. */
export interface Session<R extends Resource, S> {
  /** Reads everything we own within the scope in a number of queries that does not depend on the number of tenants. */
  observe(scope: Scope, signal: AbortSignal): Promise<S>
  /** Applies in order; safe to kill at any point and to repeat. */
  apply(batch: Batch<R>, signal: AbortSignal): Promise<Applied<R>>
  health(signal: AbortSignal): Promise<Health>
  /** Logs in for real as the tenant and tries to read what is not its own. Run once for each new credential. */
  probe(login: ProbeLogin, signal: AbortSignal): Promise<Proof>
  /**
   * Compares schemas with what the files of their ledgers make when they are run again, which nothing remains of. One query for
   * some hundred schemas, however many objects they have. A schema that is not there has no answer. Absent: the engine cannot.
   */
  compareSchemas?(question: SchemaQuestion, signal: AbortSignal): Promise<readonly SchemaAnswer[]>
  /** The ledger's files in the order of their versions: of these schemas, or of all. One query. Absent: the engine cannot. */
  history?(schemas: readonly string[] | undefined, signal: AbortSignal): Promise<readonly AppliedFile[]>
  /** A Mermaid ER diagram. Files are run as `compareSchemas` does, so that nothing remains. Absent: the engine cannot. */
  diagram?(drawn: Drawn, signal: AbortSignal): Promise<string>
  close(): Promise<void>
}

/** One engine. All but `connect` is pure. `R` is the engine's union of resources, `S` its snapshot of a shard. */
export interface Engine<R extends Resource, S> {
  readonly name: EngineName
  /** How many batches are to be applied to a shard at a time for each of its connections: more than one where batches that wait share requests. Absent: one. */
  readonly batchesPerConnection?: number
  connect(connection: Connection, options: SessionOptions): Session<R, S>
  /** Engine-side name of a tenant's login, within the engine's length limit. */
  loginName(name: string, access: LoginInput['access']): string
  tenantResources(input: TenantInput): readonly R[]
  databaseResources(input: DatabaseInput): readonly R[]
  address(input: Pick<TenantInput, 'isolation' | 'name' | 'shared'>, connection: Connection): Address
  /** Keys of the tenant's Secret: host, port, username, password, database, uri (all escaped) and the address. */
  secretData(
    connection: Connection,
    address: Address,
    login: { login: string; password: string },
  ): Readonly<Record<string, string>>
  /** The changes, in dependency order, that turn what is found into what is wanted for one owner: [] when nothing differs. */
  diff(owner: Owner, wanted: readonly R[], found: S): readonly Change<R>[]
  /** Isolation as far as the snapshot proves it: no foreign grantee, no foreign membership, no missing row security. */
  isolation(owner: Owner, found: S): Proof
  /** The version of the last applied file for a schema or database of the shard; undefined when none was applied. */
  schemaVersion(schema: string, found: S): string | undefined
  /** The statements a change stands for, with secrets replaced by `***`; for people. */
  statements(change: Change<R>): readonly string[]
}
