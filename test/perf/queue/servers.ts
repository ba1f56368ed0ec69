/** Postgres and Redis alone, as durable as in production: the queue needs no more. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RedisOptions } from '@tenantry/sdk/queue/core.ts'
import { Redis } from 'ioredis'
import { Client, type ClientConfig, escapeIdentifier } from 'pg'
import { ensureAssets } from '../../../hack/assets/assets.ts'
import { claimFolder } from '../../../hack/stack/claim.ts'
import { startPostgres } from '../../../hack/stack/postgres.ts'
import { startRedis } from '../../../hack/stack/redis.ts'
import { loadState } from '../../../hack/stack/state.ts'
import { Supervisor } from '../../../hack/stack/supervisor.ts'

export interface Servers {
  readonly postgres: ClientConfig
  readonly redis: RedisOptions
  /** An empty database of that name in place of the one before, and an empty Redis. */
  clear(database: string): Promise<ClientConfig>
}

export async function withServers<T>(
  { log, signal }: { log: (line: string) => void; signal: AbortSignal },
  work: (servers: Servers) => Promise<T>,
): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'tenantry-queue-'))
  await chmod(dir, 0o755)
  const claim = await claimFolder(dir)
  const supervisor = new Supervisor(join(dir, 'logs'), claim, signal)
  try {
    const common = { dir, assets: await ensureAssets({ log }), state: await loadState(dir), fresh: false }
    const [pg, fast] = await Promise.all([startPostgres(supervisor, common), startRedis(supervisor, common)])
    const postgres = {
      host: pg.host,
      port: pg.port,
      user: pg.username ?? '',
      password: pg.password ?? '',
      database: 'postgres',
    }
    const redis = { host: fast.host, port: fast.port, username: fast.username ?? '', password: fast.password ?? '' }
    return await work({ postgres, redis, clear: (database) => clear(postgres, redis, database) })
  } finally {
    await supervisor.close()
    await rm(dir, { recursive: true, force: true })
  }
}

async function clear(postgres: ClientConfig, options: RedisOptions, database: string): Promise<ClientConfig> {
  const client = new Client(postgres)
  await client.connect()
  const name = escapeIdentifier(database)
  await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  await client.query(`CREATE DATABASE ${name}`)
  // What the one before left dirty is not for the next one to write.
  await client.query('CHECKPOINT')
  await client.end()
  const redis = new Redis(options)
  await redis.flushall()
  redis.disconnect()
  return { ...postgres, database }
}
