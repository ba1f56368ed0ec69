/** The queues that are compared, behind one interface, each tuned as its own documentation says. */
import { installQueue } from '@tenantry/sdk/queue/install.ts'
import { openQueue, type Queue } from '@tenantry/sdk/queue/queue.ts'
import { Queue as BullQueue, Worker as BullWorker } from 'bullmq'
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { Redis } from 'ioredis'
import { Client, type ClientConfig, Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import type { Servers } from './servers.ts'

/** A queue under test. Jobs do nothing but tell that they began. */
export interface Side {
  add(i: number): Promise<unknown>
  bulk(from: number, count: number): Promise<unknown>
  /** Starts to work; resolves once it is ready. */
  work(begun: (i: number) => void): Promise<void>
  /** How many jobs its store has not finished. */
  left(): Promise<number>
  close(): Promise<void>
}

type Open = (servers: Servers) => Promise<Side>

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i)

async function counter(
  config: ClientConfig,
  text: string,
): Promise<{ count(): Promise<number>; end(): Promise<void> }> {
  const client = new Client(config)
  await client.connect()
  return {
    count: async () => Number((await client.query<{ n: string }>(text)).rows[0]?.n),
    end: () => client.end(),
  }
}

/** As an operator does once, long before there are jobs. */
async function fillRedis(queue: Queue<{ noop: { i: number } }>, { redis: options }: Servers): Promise<void> {
  const worker = await queue.worker({})
  const redis = new Redis({ ...options })
  while ((await redis.exists('{tenantry_queue}:gen')) === 0) await new Promise((wake) => setTimeout(wake, 50))
  redis.disconnect()
  await worker.stop()
}

const ours =
  (fast: boolean): Open =>
  async (servers) => {
    const postgres = await servers.clear('bench')
    const client = new Client(postgres)
    await client.connect()
    await installQueue(client)
    await client.end()
    const store = await counter(postgres, 'SELECT count(*) AS n FROM tenantry_queue.job WHERE state IN (0, 1, 2)')
    const queue = openQueue<{ noop: { i: number } }>({ postgres, ...(fast && { redis: servers.redis }) })
    if (fast) await fillRedis(queue, servers)
    return {
      add: (i) => queue.add('noop', { i }),
      bulk: (from, count) => queue.enqueue(range(from, count).map((i) => ({ name: 'noop', payload: { i } }))),
      work: async (begun) => void (await queue.worker({ noop: ({ i }) => begun(i) })),
      left: () => store.count(),
      close: async () => {
        await queue.close()
        await store.end()
      },
    }
  }

/** Its own performance test's settings (docs/performance.md). */
const graphile: Open = async (servers) => {
  const postgres = await servers.clear('bench')
  const pgPool = new Pool({ ...postgres, max: 25 })
  pgPool.on('error', () => undefined)
  const logger = new Logger(() => () => undefined)
  const utils = await makeWorkerUtils({ pgPool, logger })
  await utils.migrate()
  const store = await counter(postgres, 'SELECT count(*) AS n FROM graphile_worker.jobs')
  let runner: Awaited<ReturnType<typeof run>> | undefined
  return {
    add: (i) => utils.addJob('noop', { i }),
    bulk: (from, count) => utils.addJobs(range(from, count).map((i) => ({ identifier: 'noop', payload: { i } }))),
    work: async (begun) => {
      runner = await run({
        pgPool,
        logger,
        noHandleSignals: true,
        preset: {
          worker: {
            concurrentJobs: 24,
            localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
        taskList: { noop: (payload) => begun((payload as { i: number }).i) },
      })
    },
    left: () => store.count(),
    close: async () => {
      await runner?.stop()
      await utils.release()
      await store.end()
      await pgPool.end()
    },
  }
}

const pgBoss: Open = async (servers) => {
  const postgres = await servers.clear('bench')
  const { user = '', password, host, port, database = '' } = postgres
  const boss = new PgBoss({
    host: host ?? '',
    port: port ?? 0,
    user,
    password: String(password),
    database,
    max: 25,
    useListenNotify: true,
  })
  boss.on('error', () => undefined)
  await boss.start()
  await boss.createQueue('noop', { notify: true })
  const store = await counter(postgres, `SELECT count(*) AS n FROM pgboss.job WHERE state < 'completed'`)
  return {
    add: (i) => boss.send('noop', { i }),
    bulk: (from, count) =>
      boss.insert(
        'noop',
        range(from, count).map((i) => ({ data: { i } })),
      ),
    work: async (begun) => {
      const options = { batchSize: 500, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }
      await boss.work<{ i: number }>('noop', options, async (jobs) => {
        for (const { data } of jobs) begun(data.i)
      })
    },
    left: () => store.count(),
    close: async () => {
      await boss.stop({ graceful: false })
      await store.end()
    },
  }
}

const bullmq: Open = async (servers) => {
  await servers.clear('bench')
  const { host = '', port = 0, username = '', password = '' } = servers.redis
  const connection = { host, port, username, password, maxRetriesPerRequest: null }
  const queue = new BullQueue('noop', { connection, defaultJobOptions: { removeOnComplete: true } })
  let worker: BullWorker | undefined
  return {
    add: (i) => queue.add('noop', { i }),
    bulk: (from, count) => queue.addBulk(range(from, count).map((i) => ({ name: 'noop', data: { i } }))),
    work: async (begun) => {
      worker = new BullWorker('noop', async ({ data }) => begun(data.i), { connection, concurrency: 100 })
      worker.on('error', () => undefined)
      await worker.waitUntilReady()
    },
    left: async () => {
      const { waiting = 0, active = 0, prioritized = 0 } = await queue.getJobCounts('waiting', 'active', 'prioritized')
      return waiting + active + prioritized
    },
    close: async () => {
      await worker?.close(true)
      await queue.close()
    },
  }
}

/** Ours first; `stores` tells whether the peer keeps its jobs in Postgres. */
export const SIDES = {
  ours: { title: 'Tenantry', open: ours(true) },
  'ours-postgres': { title: 'Tenantry, Postgres only', open: ours(false) },
  graphile: { title: 'graphile-worker', open: graphile },
  'pg-boss': { title: 'pg-boss', open: pgBoss },
  bullmq: { title: 'BullMQ', open: bullmq },
} as const satisfies Record<string, { title: string; open: Open }>

export type SideName = keyof typeof SIDES
