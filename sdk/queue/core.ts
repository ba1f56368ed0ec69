import { type RedisOptions as Options, Redis } from 'ioredis'
import { type ClientConfig, Pool, type PoolClient } from 'pg'
import { QueueError, toQueueError } from './errors.ts'
import { type FastPath, openFastPath } from './fast/fast-path.ts'
import { DEFAULT_SCHEMA } from './install.ts'
import { type Outcome, openStore, type Store } from './store.ts'

/** How to connect to Redis. */
export type RedisOptions = Options & { readonly replyMapping?: never }

/** How to reach the queue. Without `redis` all goes through Postgres, with the same functions. */
export interface QueueOptions {
  /** Address and login of the server with the queue's schema: plain values, since a thread of its own connects with them too. */
  readonly postgres: ClientConfig
  readonly redis?: RedisOptions
  readonly schema?: string
  /** Connections to Postgres of this process; 10 where nobody says. */
  readonly connections?: number
  /** The most bytes of a payload or result, as installed; a larger one is refused before it is sent. 1 MiB where nobody says. */
  readonly payloadLimit?: number
  /** Where keys begin in Redis; in braces, so that all of a queue's keys are on one node of a cluster. */
  readonly redisPrefix?: string
  /** Hears of what went wrong in the background, where nobody waits for an answer. */
  readonly onError?: (error: QueueError) => void
}

/** What the parts of the client share. */
export interface Core {
  readonly pool: Pool
  readonly store: Store
  readonly fast: FastPath | undefined
  readonly options: QueueOptions
  /** Tells Redis, or where there is none the workers of this process. Never throws. */
  tell(outcome: Outcome): Promise<void>
  /** Calls back when work may have come in this process. Returns how to stop that. */
  onWork(callback: () => void): () => void
  /** In one transaction; what `work` throws rolls it back. */
  transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T>
  report(error: unknown, doing: string): void
  close(): Promise<void>
}

export function openCore(options: QueueOptions): Core {
  const { schema = DEFAULT_SCHEMA, redisPrefix = `{${schema}}` } = options
  if (!/^[^{}]*\{[^{}]+\}[^{}]*$/.test(redisPrefix)) {
    throw new QueueError(
      'InvalidOptions',
      `open queue: the prefix ${redisPrefix} must have a part in braces, as {queue} has`,
    )
  }
  const pool = new Pool({
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    ...options.postgres,
    max: options.connections ?? 10,
  })
  pool.on('error', () => undefined)
  const redis = options.redis && openRedis(options.redis)
  const fast = redis && openFastPath(redis, redisPrefix)
  const listeners = new Set<() => void>()
  const untold = new Set<Promise<void>>()
  return {
    pool,
    store: openStore(schema),
    fast,
    options,
    async tell(outcome) {
      if (fast === undefined) for (const listener of listeners) listener()
      else {
        const told = fast.tell(outcome).finally(() => untold.delete(told))
        untold.add(told)
        await told
      }
    },
    onWork(callback) {
      listeners.add(callback)
      return () => void listeners.delete(callback)
    },
    transaction: (work) => transaction(pool, work),
    report: (error, doing) => options.onError?.(toQueueError(error, doing)),
    async close() {
      await Promise.allSettled(untold)
      fast?.close()
      redis?.disconnect()
      await pool.end()
    },
  }
}

function openRedis(options: RedisOptions): Redis {
  const settings: RedisOptions = {
    connectTimeout: 2000,
    commandTimeout: 5000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: (times: number) => Math.min(50 * 2 ** times, 2000),
    ...options,
  }
  const redis = new Redis(settings)
  // Each command tells its caller; an event that nobody hears would end the process.
  redis.on('error', () => undefined)
  return redis
}

async function transaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken = false
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {
      broken = true
    })
    throw error
  } finally {
    client.release(broken)
  }
}
