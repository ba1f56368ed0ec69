/** Queues on the shared servers, for tests only. */
import { Redis } from 'ioredis'
import { Client, type ClientConfig } from 'pg'
import { onTestFinished } from 'vitest'
import { freshPostgres, freshSuffix, useStack } from '../../../test/support/stack.ts'
import type { QueueOptions, RedisOptions } from '../core.ts'
import { installQueue } from '../install.ts'
import { openQueue, type Queue } from '../queue.ts'
import { openStore, type Store } from '../store.ts'

/** Both ways to run a queue: the same tests hold for both. */
export const MODES = ['postgres', 'redis'] as const
export type Mode = (typeof MODES)[number]

/** The jobs of the tests: any name, any payload. */
export type AnyJobs = Record<string, unknown>

export interface Lab {
  readonly queue: Queue<AnyJobs>
  /** A client of the schema's owner. */
  readonly client: Client
  readonly store: Store
  readonly schema: string
  readonly postgres: ClientConfig
  readonly redis: RedisOptions
  readonly base: string
  /** What was reported in the background. */
  readonly errors: Error[]
  /** A further client of the same queue. */
  open(options?: Partial<QueueOptions>): Queue<AnyJobs>
}

const HOSTILE = `q'"\\ $s.`

/** Installs a queue in a database of its own, in a schema with a hostile name. */
export async function freshLab(mode: Mode = 'postgres', options: Partial<QueueOptions> = {}): Promise<Lab> {
  const connection = await freshPostgres()
  const { host, port, username: user, password, database } = connection
  const postgres: ClientConfig = {
    host,
    port,
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
  }
  const schema = `${HOSTILE}${freshSuffix()}`
  const client = await connect(postgres)
  await installQueue(client, { schema })
  const redis = redisOptions()
  const base = `{test-${freshSuffix()}}`
  const errors: Error[] = []
  const open = (more: Partial<QueueOptions> = {}): Queue<AnyJobs> => {
    const all = {
      postgres,
      schema,
      redisPrefix: base,
      onError: (error: Error) => void errors.push(error),
      ...options,
      ...more,
    }
    const queue = openQueue<AnyJobs>({ ...all, ...(mode === 'redis' && { redis: all.redis ?? redis }) })
    onTestFinished(() => queue.close())
    return queue
  }
  return { queue: open(), client, store: openStore(schema), schema, postgres, redis, base, errors, open }
}

export async function connect(postgres: ClientConfig): Promise<Client> {
  const client = new Client(postgres)
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end().catch(() => undefined))
  return client
}

function redisOptions(): RedisOptions {
  const { host, port, username, password } = useStack().redis
  return { host, port, ...(username !== undefined && { username }), ...(password !== undefined && { password }) }
}

export function freshRedis(options: RedisOptions = redisOptions()): Redis {
  const redis = new Redis(options)
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  return redis
}

/** Tries until `check` does not throw, for half a minute. */
export async function eventually(check: () => Promise<void> | void): Promise<void> {
  const giveUpAt = performance.now() + 30_000
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
    }
    await new Promise((wake) => setTimeout(wake, 20))
  }
}
