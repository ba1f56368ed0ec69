/** The fleet's servers: those of the embedded stack, and as many more of the same kind as it takes. */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Connection } from '@tenantry/engines/model.ts'
import { claimFolder } from '../../../hack/stack/claim.ts'
import { startClickHouse } from '../../../hack/stack/clickhouse.ts'
import { startPostgres } from '../../../hack/stack/postgres.ts'
import { startRedis } from '../../../hack/stack/redis.ts'
import { loadState } from '../../../hack/stack/state.ts'
import { Supervisor } from '../../../hack/stack/supervisor.ts'
import { makePostgresDatabase, type PlatformOptions, type Started } from '../platform.ts'

export const SHARDS = { postgres: 8, redis: 4, clickhouse: 2 } as const

/** One connection for each shard, with administrative credentials. */
export interface Servers {
  readonly postgres: readonly Connection[]
  readonly redis: readonly Connection[]
  readonly clickhouse: readonly Connection[]
  close(): Promise<void>
}

type Options = PlatformOptions & {
  /** Postgres shards share so many servers, each with a database of its own. Roles belong to a server, so shards of one see each other's. */
  readonly postgresServers: number
}

/** Every further server has a folder and a supervisor of its own, because programs are known by name within one. */
export async function startServers(started: Started, options: Options): Promise<Servers> {
  const { stack } = started
  const supervisors: Supervisor[] = []
  const more = async (program: Program, count: number): Promise<readonly Connection[]> => {
    const connections: Connection[] = []
    for (let i = 1; i < count; i++) connections.push(await startOne(started, options, { program, i, supervisors }))
    return connections
  }
  const close = async (): Promise<void> => {
    await Promise.all(supervisors.map((supervisor) => supervisor.close()))
  }
  try {
    const [postgres, redis, clickhouse] = [
      [stack.postgres, ...(await more(startPostgres, options.postgresServers))],
      [stack.redis, ...(await more(startRedis, SHARDS.redis))],
      [stack.clickhouse, ...(await more(startClickHouse, SHARDS.clickhouse))],
    ]
    return { postgres: await makeDatabases(postgres), redis, clickhouse, close }
  } catch (error) {
    await close()
    throw error
  }
}

type Program = typeof startPostgres | typeof startRedis | typeof startClickHouse

async function startOne(
  { dir: root, assets }: Started,
  { signal, log }: Options,
  { program, i, supervisors }: { program: Program; i: number; supervisors: Supervisor[] },
): Promise<Connection> {
  const name = `${program.name.replace('start', '').toLowerCase()}-${i}`
  const dir = join(root, name)
  mkdirSync(dir)
  // Postgres may run as another user.
  chmodSync(dir, 0o755)
  const supervisor = new Supervisor(join(dir, 'logs'), await claimFolder(dir), signal)
  supervisors.push(supervisor)
  const connection = await program(supervisor, { dir, assets, state: await loadState(dir), fresh: true })
  log(`${name} is ready`)
  return connection
}

async function makeDatabases(servers: readonly Connection[]): Promise<readonly Connection[]> {
  const made: Connection[] = []
  for (let i = 0; i < SHARDS.postgres; i++) {
    const server = servers[i % servers.length]
    if (!server) throw new Error('there is no Postgres server')
    const database = `oltp${i}`
    await makePostgresDatabase(server, database)
    made.push({ ...server, database })
  }
  return made
}
