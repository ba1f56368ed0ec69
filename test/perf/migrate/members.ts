import { createHash } from 'node:crypto'
import { fingerprint, newPassword } from '@tenantry/engines/credential.ts'
import type { Connection, MigrationFile, Owner, Session } from '@tenantry/engines/model.ts'
import { databaseName, objectName, tenantId } from '@tenantry/engines/names.ts'
import { postgres } from '@tenantry/engines/postgres/engine.ts'
import type { PgResource } from '@tenantry/engines/postgres/model.ts'
import type { PgSnapshot } from '@tenantry/engines/postgres/snapshot.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'

export const INSTALLATION = 'bench'
const DATABASE = { namespace: 'bench', name: 'oltp' }

export type PgSession = Session<PgResource, PgSnapshot>

/** A tenant with a schema of its own. */
export interface Member {
  readonly owner: Owner
  readonly name: string
  readonly login: string
  readonly password: string
  /** Everything that the tenant wants on the shard when it has these files. */
  readonly wanted: (files: readonly MigrationFile[]) => readonly PgResource[]
}

export function memberOf(name: string): Member {
  const key = { namespace: 'bench', name }
  const base = objectName(key, DATABASE)
  const login = postgres.loginName(base, 'ReadWrite')
  const password = newPassword()
  const input = {
    isolation: 'Schema',
    name: base,
    tenantId: tenantId(key),
    shared: databaseName(DATABASE),
    suspended: false,
    logins: [{ access: 'ReadWrite', login, fingerprint: fingerprint(login, password) }],
    limits: {},
  } as const
  return {
    owner: { installation: INSTALLATION, kind: 'Tenant', ...key, uid: crypto.randomUUID() },
    name: base,
    login,
    password,
    wanted: (files) => postgres.tenantResources({ ...input, files }),
  }
}

export function fileOf(version: string, body: string): MigrationFile {
  const checksum = createHash('sha256').update(body).digest('hex')
  return { version, name: `${version}_bench.sql`, checksum, body }
}

/** The gate and the control schema, which every shard has. */
export async function makeDatabase(session: PgSession, signal: AbortSignal): Promise<void> {
  const shared = databaseName(DATABASE)
  const owner: Owner = { installation: INSTALLATION, kind: 'Database', ...DATABASE, uid: crypto.randomUUID() }
  const wanted = postgres.databaseResources({ isolation: 'Schema', shared, extensions: [], files: [] })
  const changes = postgres.diff(owner, wanted, await session.observe([shared], signal))
  const { failed } = await session.apply({ owner, changes, secrets: () => '' }, signal)
  if (failed) throw failed.error
}

/** Gives every member the files, as many at a time as there are connections, and resolves to the seconds it took to apply them. */
export async function applyFiles(
  session: PgSession,
  { members, files, connections }: { members: readonly Member[]; files: readonly MigrationFile[]; connections: number },
  signal: AbortSignal,
): Promise<number> {
  const found = await session.observe(
    members.map(({ name }) => name),
    signal,
  )
  const plans = members.map((member) => ({
    member,
    changes: postgres.diff(member.owner, member.wanted(files), found),
  }))
  const slots = new Semaphore(connections)
  const begin = performance.now()
  await Promise.all(
    plans.map(({ member, changes }) =>
      slots.run(async () => {
        const batch = {
          owner: member.owner,
          changes,
          secrets: () => member.password,
          run: { id: 'bench', by: 'bench' },
        }
        const { failed } = await session.apply(batch, signal)
        if (failed) throw failed.error
      }, signal),
    ),
  )
  return (performance.now() - begin) / 1_000
}

/** A client's connection as the member. */
export function connectionOf(shard: Connection, { login, password }: Member): Connection {
  return { ...shard, username: login, password }
}
