import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ownServer } from '../../engines/redis/own-server.ts'
import { arrayText, readClaim } from './store.ts'
import { connect, eventually, freshLab, freshRedis, type Lab, MODES } from './testing/lab.ts'

const FAST = { lease: 2000, poll: 20 }

describe('Redis that fails', () => {
  test('loses no job when it is flushed in the middle', async () => {
    const { queue, base } = await freshLab('redis')
    const redis = freshRedis()
    const seen = new Set<unknown>()
    const flush = async (): Promise<void> => {
      const keys = await redis.keys(`${base}*`)
      if (keys.length > 0) await redis.del(...keys)
    }
    await queue.worker(
      { note: (payload) => void seen.add(payload) },
      { ...FAST, concurrency: 5, prefetch: 5, batch: 5 },
    )
    for (let round = 0; round < 10; round++) {
      await queue.enqueue(Array.from({ length: 200 }, (_, i) => ({ name: 'note', payload: round * 200 + i })))
      await flush()
    }
    await eventually(() => expect(seen.size).toBe(2000))
  })

  test('loses no job when it restarts empty, and the queue goes on without it meanwhile', async () => {
    const server = await ownServer('', null)
    const { host, port } = server.connection
    const { queue } = await freshLab('redis', { redis: { host, port } })
    const seen = new Set<unknown>()
    await queue.worker({ note: (payload) => void seen.add(payload) }, FAST)
    await queue.enqueue([{ name: 'note', payload: 'before' }])
    await eventually(() => expect(seen.size).toBe(1))
    await server.restart()
    await queue.enqueue(Array.from({ length: 500 }, (_, i) => ({ name: 'note', payload: i })))
    await eventually(() => expect(seen.size).toBe(501))
  })

  test('hears by the relay of jobs whose process died after its commit', async () => {
    const lab = await freshLab('redis')
    const { queue, client, store } = lab
    const seen: unknown[] = []
    await queue.worker({ note: (payload) => void seen.push(payload) }, FAST)
    await queue.add('note', 'first')
    await eventually(() => expect(seen).toEqual(['first']))
    await eventually(async () => expect(await store.value(client, 'start_fast')).toBe(true))
    await store.value(client, 'enqueue', JSON.stringify([{ name: 'note', payload: 'silent' }]))
    await eventually(() => expect(seen).toEqual(['first', 'silent']))
  })

  test('asks again for jobs that it gave to a worker that died before it claimed them', async () => {
    const { queue, base } = await freshLab('redis')
    const redis = freshRedis()
    await queue.setQueue('aside')
    const idle = await queue.worker({}, { ...FAST, queues: ['aside'] })
    await eventually(async () => expect(await redis.get(`${base}:gen`)).not.toBeNull())
    await queue.add('note', 'stolen')
    const generation = String(await redis.get(`${base}:gen`))
    await eventually(async () => {
      expect(await redis.call('FCALL', 'tenantry_queue_1_claim', 1, base, generation, 10, 100, '')).toHaveLength(1)
    })
    const seen: unknown[] = []
    await queue.worker({ note: (payload) => void seen.push(payload) }, FAST)
    await eventually(() => expect(seen).toEqual(['stolen']))
    await idle.stop()
  })
})

describe.each(MODES)('workers that fail, by way of %s', (mode) => {
  test('a completion that comes too late is fenced, and its job has one outcome', async () => {
    const { queue, client, store } = await freshLab(mode)
    const { id } = await queue.add('note', 1)
    const register = (): Promise<number> => store.value<number>(client, 'register', 'test', 60_000)
    const [zombie, heir] = [await register(), await register()]
    const claim = async (worker: number) => readClaim(await store.rows(client, 'take', worker, null, 1, '')).jobs[0]
    const stale = await claim(zombie)
    await store.value(client, 'retire', zombie)
    await store.value(client, 'reap', 10)
    await expect(store.rows(client, 'take', zombie, null, 1, '')).rejects.toMatchObject({ code: 'WorkerExpired' })
    const fresh = await claim(heir)
    expect(fresh?.epoch).toBe(2)
    const complete = (worker: number, epoch = 0) =>
      store.value<{ fenced: string[] } | null>(client, 'complete', worker, arrayText([id]), arrayText([epoch]))
    expect((await complete(zombie, stale?.epoch))?.fenced).toEqual([id])
    expect((await complete(zombie, fresh?.epoch))?.fenced).toEqual([id])
    expect((await complete(heir, stale?.epoch))?.fenced).toEqual([id])
    expect(await complete(heir, fresh?.epoch)).toBeNull()
    expect((await complete(heir, fresh?.epoch))?.fenced).toEqual([id])
    const kinds = (await queue.events(id)).map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'completed')).toHaveLength(1)
    expect(kinds.filter((kind) => kind === 'fenced')).toHaveLength(4)
  })

  test('jobs of a worker that was killed run elsewhere', async () => {
    const lab = await freshLab(mode)
    const { queue } = lab
    await queue.enqueue(Array.from({ length: 20 }, (_, i) => ({ name: 'hang', payload: i })))
    const child = await startProcess(lab, mode)
    await eventually(async () => expect((await queue.stats())[0]?.running).toBe(20))
    child.kill('SIGKILL')
    const seen = new Set<unknown>()
    await queue.worker({ hang: (payload) => void seen.add(payload) }, FAST)
    await eventually(() => expect(seen.size).toBe(20))
  })

  test('a worker that was stopped and goes on finds itself fenced, registers again and works', async () => {
    const lab = await freshLab(mode)
    const { queue } = lab
    await queue.add('hang', 0)
    const child = await startProcess(lab, mode)
    await eventually(async () => expect((await queue.stats())[0]?.running).toBe(1))
    child.kill('SIGSTOP')
    const seen: unknown[] = []
    const other = await queue.worker({ hang: (payload) => void seen.push(payload) }, FAST)
    await eventually(() => expect(seen).toEqual([0]))
    await other.stop()
    child.kill('SIGCONT')
    const { id } = await queue.add('echo', 'again')
    await eventually(async () =>
      expect(await queue.find({ ids: [id] })).toMatchObject([{ state: 'succeeded', result: 'again' }]),
    )
  })

  test('a job that ends its process is dead after three times, and its neighbours are not', async () => {
    const lab = await freshLab(mode)
    const { queue } = lab
    const poison = await queue.add('exit', 1)
    await queue.enqueue(Array.from({ length: 5 }, (_, i) => ({ name: 'echo', payload: i })))
    let running = true
    onTestFinished(() => {
      running = false
    })
    const keepStarting = async (): Promise<void> => {
      while (running) {
        const child = await startProcess(lab, mode)
        await new Promise((ended) => child.once('exit', ended))
      }
    }
    void keepStarting()
    await eventually(async () => {
      expect(await queue.find({ ids: [poison.id] })).toMatchObject([
        { state: 'dead', error: expect.stringContaining('3 times') },
      ])
    })
    await eventually(async () => expect(await queue.find({ name: 'echo', state: 'succeeded' })).toHaveLength(5))
    running = false
  })

  test('a handler that keeps the event loop busy for longer than the lease keeps its job', async () => {
    const lab = await freshLab(mode)
    const { queue } = lab
    await queue.setQueue('busy')
    // It leads, and would take the job from a worker that looks dead.
    await startProcess(lab, mode, ['default'])
    const { id } = await queue.add('busy', 1, { queue: 'busy' })
    await queue.worker(
      {
        busy: () => {
          const until = performance.now() + 3000
          while (performance.now() < until);
        },
      },
      { ...FAST, lease: 1000 },
    )
    await eventually(async () =>
      expect(await queue.find({ ids: [id] })).toMatchObject([{ state: 'succeeded', epoch: 1 }]),
    )
  })

  test('connections that the server ends are made anew', async () => {
    const { queue, client, postgres } = await freshLab(mode)
    const seen = new Set<unknown>()
    await queue.worker({ note: (payload) => void seen.add(payload) }, FAST)
    const admin = await connect(postgres)
    for (let i = 0; i < 5; i++) {
      await eventually(async () => void (await queue.enqueue([{ name: 'note', payload: i }])))
      await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), $1)`,
        [Reflect.get(client, 'processID')],
      )
    }
    await eventually(() => expect(seen.size).toBe(5))
  })
})

/** A worker in a process of its own; resolves when it works. */
async function startProcess(
  { postgres, redis, schema, base }: Lab,
  mode: string,
  queues: readonly string[] = [],
): Promise<ChildProcess> {
  const options = { postgres, schema, redisPrefix: base, ...(mode === 'redis' && { redis }) }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'testing/worker-process.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, QUEUE: JSON.stringify(options), QUEUES: JSON.stringify(queues) },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await Promise.race([
    new Promise((up) => child.stdout?.once('data', up)),
    new Promise((ended) => child.once('exit', ended)),
  ])
  return child
}
