/** Shared by this folder's tests: real tenants on a real server. Imported by tests only. */
import { createHash } from 'node:crypto'
import { Client } from 'pg'
import { afterAll } from 'vitest'
import { freshPostgres, freshSuffix } from '../../../test/support/stack.ts'
import { fingerprint, newPassword } from '../../credential.ts'
import type { Batch, Connection, Isolation, MigrationFile, Owner, Proof, Session, TenantInput } from '../../model.ts'
import { databaseName, objectName, tenantId } from '../../names.ts'
import type { PgChange } from '../diff/claim.ts'
import { postgres } from '../engine.ts'
import type { PgResource } from '../model.ts'
import type { PgSnapshot } from '../snapshot.ts'

export const OPTIONS = { installation: 'lab', connectTimeoutMs: 5_000, statementTimeoutMs: 30_000, maxConnections: 4 }

/** A deadline that no test comes near. */
export const signal = AbortSignal.timeout(600_000)

export type PgSession = Session<PgResource, PgSnapshot>

/** One object of the cluster with all that it wants on the shard. */
export interface Wish {
  readonly owner: Owner
  readonly name: string
  readonly wanted: readonly PgResource[]
  readonly scope: readonly string[]
  readonly secrets: Batch['secrets']
}

export interface TenantWish extends Wish {
  readonly input: TenantInput
  readonly password: string
  readonly login: string
}

export function ownerOf(kind: Owner['kind'], namespace: string, name: string): Owner {
  return { installation: OPTIONS.installation, kind, namespace, name, uid: crypto.randomUUID() }
}

export function sqlFile(version: string, body: string): MigrationFile {
  const checksum = createHash('sha256').update(body).digest('hex')
  return { version, name: `${version}.pg.sql`, checksum, body }
}

/** Every tenant of one test file refers to this Database. Roles are server-wide, so each file has its own. */
export const DATABASE = { namespace: 'lab', name: `oltp-${freshSuffix()}` }

export function databaseWish(
  isolation: Isolation,
  parts: {
    files?: readonly MigrationFile[]
    reverted?: readonly MigrationFile[]
    extensions?: readonly string[]
    name?: string
  } = {},
): Wish {
  const key = { ...DATABASE, ...(parts.name !== undefined && { name: parts.name }) }
  const shared = databaseName(key)
  return {
    owner: ownerOf('Database', key.namespace, key.name),
    name: shared,
    wanted: postgres.databaseResources({
      isolation,
      shared,
      extensions: parts.extensions ?? [],
      files: parts.files ?? [],
      reverted: parts.reverted ?? [],
    }),
    scope: [shared],
    secrets: () => '',
  }
}

/** `change` replaces parts of the engine's input; `database` names the Database referred to. */
export function tenantWish(
  isolation: Isolation,
  key: { namespace: string; name: string },
  { change = {}, database = DATABASE.name }: { change?: Partial<TenantInput>; database?: string } = {},
): TenantWish {
  const ref = { ...DATABASE, name: database }
  const name = objectName(key, ref)
  const passwords = new Map<string, string>()
  const logins = (['ReadWrite', 'ReadOnly'] as const).map((access) => {
    const login = postgres.loginName(name, access)
    const password = newPassword()
    passwords.set(login, password)
    return { access, login, fingerprint: fingerprint(login, password) }
  })
  const input: TenantInput = {
    isolation,
    name,
    tenantId: tenantId(key),
    shared: databaseName(ref),
    suspended: false,
    logins,
    limits: { connections: 10, statementTimeoutMs: 30_000 },
    files: [],
    ...change,
  }
  const login = postgres.loginName(name, 'ReadWrite')
  return {
    owner: ownerOf('Tenant', key.namespace, key.name),
    name,
    wanted: postgres.tenantResources(input),
    scope: isolation === 'Row' ? [name, input.shared] : [name],
    secrets: (of) => passwords.get(of) ?? '',
    input,
    password: passwords.get(login) ?? '',
    login,
  }
}

export async function planOf(session: PgSession, wish: Wish, wanted = wish.wanted): Promise<readonly PgChange[]> {
  return postgres.diff(wish.owner, wanted, await session.observe(wish.scope, signal))
}

/** Applies what differs and gives it back; throws the first failure, and for anything blocked. */
export async function make(session: PgSession, wish: Wish, wanted = wish.wanted): Promise<readonly PgChange[]> {
  const changes = await planOf(session, wish, wanted)
  const held = changes.find(({ blocked }) => blocked)
  if (held) throw new Error(held.blocked?.message)
  await applyAll(session, wish, changes)
  return changes
}

export async function applyAll(session: PgSession, wish: Wish, changes: readonly PgChange[]): Promise<void> {
  const { failed } = await session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
  if (failed) throw failed.error
}

/** Runs statements by hand over a connection of their own, and gives the rows of the last. */
export async function byHand(connection: Connection, ...statements: readonly string[]): Promise<readonly object[]> {
  const { host, port, username: user, password, database } = connection
  const client = new Client({ host, port, user, password, database })
  client.on('error', () => undefined)
  await client.connect()
  try {
    let rows: readonly object[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows ?? []
    return rows
  } finally {
    await client.end()
  }
}

/** The tenant's own connection. */
export function asTenant(connection: Connection, wish: TenantWish): Connection {
  const database = wish.input.isolation === 'Database' ? wish.name : connection.database
  return { ...connection, username: wish.login, password: wish.password, ...(database !== undefined && { database }) }
}

export interface Shard {
  readonly admin: Connection
  readonly session: PgSession
  readonly database: Wish
  /** The name of the Database. */
  readonly databaseName: string
  /** A tenant of that Database. */
  readonly tenant: (name: string, change?: Partial<TenantInput>) => TenantWish
}

/** A fresh shard with a Database of that isolation on it. The session is closed when the file's tests are done. */
export async function freshShard(
  isolation: Isolation,
  parts: { files?: readonly MigrationFile[]; extensions?: readonly string[] } = {},
): Promise<Shard> {
  const admin = await freshPostgres()
  const session = postgres.connect(admin, OPTIONS)
  sessions.push(session)
  const name = `db-${freshSuffix()}`
  const database = databaseWish(isolation, { ...parts, name })
  await make(session, database)
  const tenant = (of: string, change: Partial<TenantInput> = {}): TenantWish =>
    tenantWish(isolation, { namespace: 'lab', name: of }, { change, database: name })
  return { admin, session, database, databaseName: name, tenant }
}

const sessions: PgSession[] = []

afterAll(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.close()))
})

/** Both ways of proving a tenant's isolation. */
export const proofs = (
  shard: Shard,
  wish: TenantWish,
): { read: () => Promise<Proof>; probe: () => Promise<Proof> } => ({
  read: async () => postgres.isolation(wish.owner, await shard.session.observe(wish.scope, signal)),
  probe: () =>
    shard.session.probe({ owner: wish.owner, name: wish.name, login: wish.login, password: wish.password }, signal),
})
