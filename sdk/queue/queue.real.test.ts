import { describe, expect, test } from 'vitest'
import { QueueError } from './errors.ts'
import { eventually, freshLab, MODES } from './testing/lab.ts'

const FAST = { lease: 2000, poll: 20 }

describe.each(MODES)('a queue by way of %s', (mode) => {
  test('runs jobs that were enqueued one by one and in bulk, each once, and stores their results', async () => {
    const { queue } = await freshLab(mode)
    const seen: unknown[] = []
    await queue.worker(
      {
        double: (payload) => {
          seen.push(payload)
          return Number(payload) * 2
        },
      },
      FAST,
    )
    const single = await queue.add('double', 1)
    await queue.enqueue(Array.from({ length: 1500 }, (_, i) => ({ name: 'double', payload: i + 2 })))
    await eventually(() => expect(seen).toHaveLength(1501))
    expect(new Set(seen).size).toBe(1501)
    await eventually(async () => {
      expect(await queue.find({ ids: [single.id] })).toMatchObject([
        { state: 'succeeded', result: 2, epoch: 1, attempt: 0 },
      ])
    })
    expect(await queue.events(single.id)).toMatchObject([
      { kind: 'enqueued', seq: 1, from: null, to: 'ready' },
      { kind: 'claimed', seq: 2, from: 'ready', to: 'leased' },
      { kind: 'completed', seq: 3, from: 'leased', to: 'succeeded' },
    ])
  })

  test('starts a job of a transaction after its commit, and none of one that was rolled back', async () => {
    const { queue, client } = await freshLab(mode)
    const seen: unknown[] = []
    await queue.worker({ note: (payload) => void seen.push(payload) }, FAST)
    await client.query('BEGIN')
    await queue.enqueue(client, [{ name: 'note', payload: 'lost' }])
    await client.query('ROLLBACK')
    await client.query('BEGIN')
    await queue.enqueue(client, [{ name: 'note', payload: 'kept' }])
    await queue.add('note', 'other')
    await eventually(() => expect(seen).toEqual(['other']))
    await client.query('COMMIT')
    await eventually(() => expect(seen).toEqual(['other', 'kept']))
  })

  test('tries a job that failed again, with its error, and gives up after its attempts', async () => {
    const { queue } = await freshLab(mode)
    await queue.setQueue('default', { backoff: 10, backoffLimit: 20 })
    let tries = 0
    await queue.worker(
      {
        flaky: (_, { attempt }) => {
          if (attempt < 2) throw new Error(`try ${attempt}`)
          return attempt
        },
        hopeless: () => {
          tries++
          throw {
            strange: 'thing',
            toString: () => {
              throw new Error('not even a text')
            },
          }
        },
      },
      FAST,
    )
    const flaky = await queue.add('flaky', null)
    const hopeless = await queue.add('hopeless', null, { attempts: 3 })
    await eventually(async () => {
      expect(await queue.find({ ids: [flaky.id] })).toMatchObject([{ state: 'succeeded', result: 2, attempt: 2 }])
      expect(await queue.find({ ids: [hopeless.id] })).toMatchObject([{ state: 'dead', attempt: 3 }])
    })
    expect(tries).toBe(3)
    expect((await queue.find({ ids: [hopeless.id] }))[0]?.error).toMatch(/strange/)
    expect((await queue.stats())[0]).toMatchObject({ dead: 1, ready: 0, running: 0 })
    expect(await queue.redrive({ error: 'strange' })).toBe(1)
    await eventually(() => expect(tries).toBe(6))
  })

  test('puts jobs off, and refuses a negative delay', async () => {
    const { queue } = await freshLab(mode)
    const seen: unknown[] = []
    await queue.worker({ note: (payload) => void seen.push(payload) }, FAST)
    const { id } = await queue.add('note', 'later', { delay: 1000 })
    await queue.enqueue([
      { name: 'note', payload: 'now' },
      { name: 'note', payload: 'past', at: new Date(0) },
    ])
    await eventually(() => expect(new Set(seen)).toEqual(new Set(['now', 'past', 'later'])))
    const [enqueued, due, claimed] = await queue.events(id)
    expect([enqueued?.kind, due?.kind, claimed?.kind]).toEqual(['delayed', 'due', 'claimed'])
    expect(Number(claimed?.at) - Number(enqueued?.at)).toBeGreaterThanOrEqual(1000)
    await expect(queue.add('note', 1, { delay: -1 })).rejects.toMatchObject({ code: 'InvalidJob' })
  })

  test('keeps one job of a key while it lives, for each tenant its own', async () => {
    const { queue } = await freshLab(mode)
    const first = await queue.add('note', 1, { key: 'k' })
    const [twin, other] = await queue.enqueue([
      { name: 'note', payload: 2, key: 'k' },
      { name: 'note', payload: 3, key: 'k', tenant: 'other' },
    ])
    expect(twin).toEqual({ id: first.id, duplicate: true })
    expect(other?.duplicate).toBe(false)
    expect(await queue.cancel([first.id])).toEqual([first.id])
    expect((await queue.add('note', 4, { key: 'k' })).duplicate).toBe(false)
  })

  test("enqueues a batch's last job when all others have ended", async () => {
    const { queue } = await freshLab(mode)
    const seen: unknown[] = []
    await queue.worker(
      {
        part: (n) => {
          if (n === 2) throw new QueueError('InvalidJob', 'never')
        },
        whole: () => void seen.push('whole'),
      },
      FAST,
    )
    const parts = [1, 2, 3].map((payload) => ({ name: 'part', payload }))
    await queue.enqueue(parts, { afterwards: { name: 'whole', payload: null } })
    await eventually(() => expect(seen).toEqual(['whole']))
  })

  test('pauses and resumes a queue and a tenant', async () => {
    const { queue } = await freshLab(mode)
    await queue.setQueue('mail', { priority: 'high' })
    await queue.pause({ queue: 'mail' })
    await queue.pause({ tenant: 'slow' })
    const seen: unknown[] = []
    await queue.worker({ note: (payload) => void seen.push(payload) }, FAST)
    await queue.enqueue([
      { name: 'note', payload: 'mail', queue: 'mail' },
      { name: 'note', payload: 'slow', tenant: 'slow' },
      { name: 'note', payload: 'free' },
    ])
    await eventually(() => expect(seen).toEqual(['free']))
    await queue.resume({ tenant: 'slow' })
    await eventually(() => expect(seen).toEqual(['free', 'slow']))
    await queue.resume({ queue: 'mail' })
    await eventually(() => expect(seen).toEqual(['free', 'slow', 'mail']))
  })

  test('never runs more jobs of a tenant or a queue than it may have at once', async () => {
    const { queue, open } = await freshLab(mode)
    await queue.setQueue('default', { perTenantConcurrency: 2, concurrency: 5 })
    const running = new Map<string, number>()
    let total = 0
    let most = 0
    let mostOfOne = 0
    let done = 0
    const handler = async (_: unknown, { tenant }: { tenant: string }): Promise<void> => {
      const mine = (running.get(tenant) ?? 0) + 1
      running.set(tenant, mine)
      most = Math.max(most, ++total)
      mostOfOne = Math.max(mostOfOne, mine)
      await new Promise((wake) => setTimeout(wake, 5))
      running.set(tenant, (running.get(tenant) ?? 0) - 1)
      total--
      done++
    }
    await queue.enqueue(Array.from({ length: 120 }, (_, i) => ({ name: 'work', payload: i, tenant: `t${i % 4}` })))
    await queue.worker({ work: handler }, FAST)
    await open().worker({ work: handler }, FAST)
    await eventually(() => expect(done).toBe(120))
    expect(mostOfOne).toBe(2)
    expect(most).toBeLessThanOrEqual(5)
  })

  test('completes a job together with the effects of its handler, or not at all', async () => {
    const { queue, client } = await freshLab(mode)
    await client.query('CREATE TABLE effect (id bigint)')
    await queue.setQueue('default', { backoff: 10, backoffLimit: 20 })
    await queue.worker(
      {
        work: async (_, { fence, attempt, tx }) => {
          await tx(async (db) => {
            await db.query('INSERT INTO effect VALUES ($1)', [fence.id])
            if (attempt === 0) throw new Error('after the insert')
          })
          throw new Error('after the commit')
        },
      },
      FAST,
    )
    const { id } = await queue.add('work', null)
    await eventually(async () =>
      expect(await queue.find({ ids: [id] })).toMatchObject([{ state: 'succeeded', attempt: 1 }]),
    )
    expect((await client.query('SELECT id FROM effect')).rows).toEqual([{ id }])
  })

  test('aborts a job that was cancelled, and shows progress', async () => {
    const { queue } = await freshLab(mode)
    const reasons: unknown[] = []
    await queue.worker(
      {
        endless: (_, { signal, progress }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reasons.push(signal.reason)
              reject(signal.reason)
            })
            progress({ percent: 50 }).catch(() => undefined)
          }),
      },
      FAST,
    )
    const { id } = await queue.add('endless', null)
    await eventually(async () =>
      expect(await queue.find({ ids: [id] })).toMatchObject([{ state: 'leased', progress: { percent: 50 } }]),
    )
    await queue.cancel([id])
    await eventually(() => expect(reasons).toMatchObject([{ code: 'Fenced' }]))
    expect(await queue.find({ ids: [id] })).toMatchObject([{ state: 'cancelled' }])
  })

  test('fails a job that runs too long, and lets its place be used', async () => {
    const { queue } = await freshLab(mode)
    await queue.setQueue('default', { timeout: 100, backoff: 50, attempts: 2 })
    const worker = await queue.worker(
      { hang: () => new Promise(() => undefined), note: () => 'ok' },
      { ...FAST, concurrency: 1 },
    )
    const hang = await queue.add('hang', null)
    const note = await queue.add('note', null)
    await eventually(async () => {
      expect(await queue.find({ ids: [hang.id] })).toMatchObject([
        { state: 'dead', error: expect.stringContaining('100 ms') },
      ])
      expect(await queue.find({ ids: [note.id] })).toMatchObject([{ state: 'succeeded' }])
    })
    expect(worker.stats().abandoned).toBe(2)
  })

  test('hands back what a stopped worker did not begin or finish', async () => {
    const { queue, open } = await freshLab(mode)
    const other = open()
    let begun = 0
    const worker = await other.worker(
      { slow: () => new Promise(() => void begun++) },
      { ...FAST, concurrency: 2, prefetch: 5 },
    )
    await queue.enqueue(Array.from({ length: 10 }, (_, i) => ({ name: 'slow', payload: i })))
    await eventually(() => expect(begun).toBe(2))
    await worker.stop(50)
    expect((await queue.stats())[0]).toMatchObject({ ready: 10, running: 0 })
    let done = 0
    await queue.worker({ slow: () => void done++ }, FAST)
    await eventually(() => expect(done).toBe(10))
  })

  test('enqueues the job of a schedule once for each time, and refuses one that never comes', async () => {
    const { queue, open } = await freshLab(mode)
    const seen: unknown[] = []
    await queue.worker({ tick: (payload) => void seen.push(payload) }, FAST)
    await open().worker({ tick: (payload) => void seen.push(payload) }, FAST)
    const begun = Date.now()
    await queue.setCron('each second', '* * * * * *', { name: 'tick', payload: 'tick' })
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(2))
    expect(await queue.dropCron('each second')).toBe(true)
    const elapsed = Date.now() - begun
    const ticks = await queue.find({ name: 'tick' })
    await eventually(() => expect(seen).toHaveLength(ticks.length))
    expect(ticks.length).toBeLessThanOrEqual(Math.floor(elapsed / 1000) + 1)
    await expect(queue.setCron('never', '0 0 31 2 *', { name: 'tick', payload: 1 })).rejects.toMatchObject({
      code: 'InvalidCron',
    })
    await expect(queue.setCron('odd', 'whenever', { name: 'tick', payload: 1 })).rejects.toMatchObject({
      code: 'InvalidCron',
    })
  })

  test('serves high, normal and low priority by their shares', async () => {
    const { queue } = await freshLab(mode)
    const order: string[] = []
    await queue.enqueue(
      (['low', 'normal', 'high'] as const).flatMap((priority) =>
        Array.from({ length: 210 }, () => ({ name: 'note', payload: priority, priority })),
      ),
    )
    await queue.worker(
      { note: (payload) => void order.push(String(payload)) },
      { ...FAST, batch: 21, concurrency: 21, prefetch: 0 },
    )
    await eventually(() => expect(order).toHaveLength(630))
    const early = order.slice(0, 210)
    expect(early.filter((one) => one === 'high').length).toBeGreaterThan(130)
    expect(early.filter((one) => one === 'low').length).toBeGreaterThanOrEqual(3)
  })
})
