import { describe, expect, test } from 'vitest'
import { settle } from './fake-clock.ts'
import { bench } from './queue-bench.ts'
import { PRIORITY } from './work-queue.ts'

describe('the work queue', () => {
  test('runs a key once, however often it was added', async () => {
    const { queue, started, begin, end } = bench()
    for (let n = 0; n < 1000; n++) queue.add('a')
    expect(queue.depth).toBe(1)
    void begin()
    await settle()
    await end('a')
    expect(started).toEqual(['a'])
    expect(queue.depth).toBe(0)
  })

  test('runs a key once more when it was added while it ran, and never beside itself', async () => {
    const { queue, started, begin, end } = bench({ concurrency: 8 })
    queue.add('a')
    void begin()
    await settle()
    for (let n = 0; n < 1000; n++) queue.add('a')
    await settle()
    expect(started).toEqual(['a'])
    await end('a')
    expect(started).toEqual(['a', 'a'])
    await end('a')
    expect(started).toEqual(['a', 'a'])
  })

  test('retries no sooner than the server asked for', async () => {
    const { clock, queue, started, begin, end } = bench()
    queue.add('a')
    void begin()
    await settle()
    queue.retry('a', { notBeforeMs: 2_000 })
    await end('a')
    await clock.advance(1_999)
    await settle()
    expect(started).toEqual(['a'])
    await clock.advance(1)
    await settle()
    expect(started).toEqual(['a', 'a'])
  })

  test('runs the higher priority first, and the earlier within one', async () => {
    const { queue, started, begin, end } = bench()
    queue.add('drift-1', { priority: PRIORITY.resync })
    queue.add('spec-1')
    queue.add('delete', { priority: PRIORITY.finalize })
    queue.add('spec-2')
    queue.add('drift-2', { priority: PRIORITY.resync })
    queue.add('drift-2', { priority: PRIORITY.normal })
    queue.add('spec-1', { priority: PRIORITY.resync })
    void begin()
    await settle()
    for (const key of ['delete', 'spec-1', 'spec-2', 'drift-2', 'drift-1']) await end(key)
    expect(started).toEqual(['delete', 'spec-1', 'spec-2', 'drift-2', 'drift-1'])
  })

  test('lets the shorter of two delays and the higher of two priorities win', async () => {
    const { clock, queue, started, begin, end } = bench()
    queue.add('a', { afterMs: 60_000, priority: PRIORITY.resync })
    queue.add('a', { afterMs: 1_000, priority: PRIORITY.resync })
    queue.add('a', { afterMs: 30_000, priority: PRIORITY.finalize })
    expect([queue.depth, queue.delayed]).toEqual([0, 1])
    void begin()
    await clock.advance(999)
    expect(started).toEqual([])
    await clock.advance(1)
    expect(started).toEqual(['a'])
    await end('a')
    await clock.advance(120_000)
    expect(started).toEqual(['a'])
  })

  test('keeps one timer for ten thousand delayed keys and runs each of them', async () => {
    const { clock, queue } = bench()
    const started: string[] = []
    for (let n = 0; n < 10_000; n++) queue.add(`t${n}`, { afterMs: 1 + ((n * 7919) % 300) })
    expect(clock.timers).toBe(1)
    queue.run(async (key) => void started.push(key), { concurrency: 100, deadlineMs: 60_000 }).catch(() => undefined)
    await clock.advance(300)
    for (let turns = 0; turns < 200 && started.length < 10_000; turns++) await settle()
    expect(new Set(started).size).toBe(10_000)
    expect(clock.timers).toBe(0)
  })

  test('doubles the wait after each failure from 5 ms to 5 minutes, and forgets after a success', async () => {
    const { clock, queue, started, begin, end } = bench()
    queue.add('a')
    void begin()
    await settle()
    for (let failures = 0; failures < 20; failures++) {
      const runs = started.length
      queue.retry('a')
      await end('a')
      const waitMs = failures < 16 ? 5 * 2 ** failures : 150_000
      await clock.advance(Math.min(waitMs, 150_000) - 1)
      expect(started.length, `after ${failures} failures, a millisecond early`).toBe(runs)
      await clock.advance(1)
      expect(started.length, `after ${failures} failures`).toBe(runs + 1)
    }
    expect(queue.failures('a')).toBe(20)
    await end('a')
    expect(queue.failures('a')).toBe(0)
  })

  test('retries a key whose run threw, at the same priority', async () => {
    const failures: unknown[] = []
    const { clock, queue, started, begin, end } = bench({
      observer: { failed: (key, error) => failures.push([key, error]) },
    })
    queue.add('a', { priority: PRIORITY.finalize })
    void begin()
    await settle()
    const error = new Error('no')
    await end('a', error)
    expect(failures).toEqual([['a', error]])
    queue.add('b', { afterMs: 5 })
    await clock.advance(5)
    expect(started).toEqual(['a', 'a'])
  })

  test('aborts a run at its deadline, and keeps the key to itself until the run has ended', async () => {
    const { clock, queue, started, open, begin, end } = bench({ concurrency: 2, deadlineMs: 1_000 })
    queue.add('a')
    void begin()
    await clock.advance(999)
    expect(open.get('a')?.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(open.get('a')?.signal.reason).toMatchObject({ code: 'Timeout', message: 'work on a: not done within 1 s' })
    queue.add('a')
    await clock.advance(60_000)
    expect(started).toEqual(['a'])
    await end('a')
    expect(started).toEqual(['a', 'a'])
  })

  test('drains what runs when it is shut down, and starts nothing more', async () => {
    const { clock, queue, started, open, begin, end } = bench({ concurrency: 2 })
    for (const key of ['a', 'b', 'c']) queue.add(key)
    queue.add('later', { afterMs: 10 })
    const running = begin()
    await settle()
    const stopping = queue.shutDown({ graceMs: 1_000, abortMs: 100 })
    queue.add('d')
    await end('a')
    await clock.advance(999)
    expect(open.get('b')?.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(open.get('b')?.signal.aborted).toBe(true)
    await end('b')
    expect(await stopping).toEqual([])
    await running
    await clock.advance(60_000)
    expect(started).toEqual(['a', 'b'])
    expect(clock.timers).toBe(0)
  })

  test('names the runs that took no notice of being aborted', async () => {
    const { clock, queue, begin } = bench()
    queue.add('a')
    void begin()
    await settle()
    const stopping = queue.shutDown({ graceMs: 10, abortMs: 10 })
    await clock.advance(20)
    expect(await stopping).toEqual(['a'])
  })

  test('does not let one lane that hangs hold up the others', async () => {
    const lanes = (key: string): string[] => key.split('+').map((part) => part.slice(0, 1))
    const { queue, started, begin, end } = bench({ concurrency: 4, lanes, laneConcurrency: 2 })
    for (let n = 0; n < 100; n++) queue.add(`a${n}`)
    queue.add('b1')
    queue.add('b2+c2')
    queue.add('b3')
    void begin()
    await settle()
    expect(started).toEqual(['a0', 'a1', 'b1', 'b2+c2'])
    await end('b1')
    expect(started.at(-1)).toBe('b3')
    await end('a0')
    expect(started.at(-1)).toBe('a2')
    expect(queue.running.length).toBe(4)
  })

  test('takes a turn of the event loop between rounds, so that many short runs do not block it', async () => {
    const { queue } = bench()
    let done = 0
    let turns = 0
    const count = (): void => {
      turns++
      if (done < 1_000) setImmediate(count)
    }
    for (let n = 0; n < 1_000; n++) queue.add(`k${n}`)
    queue.run(async () => void done++, { concurrency: 10, deadlineMs: 1_000 }).catch(() => undefined)
    count()
    while (done < 1_000) await settle()
    expect(turns).toBeGreaterThanOrEqual(100)
  })
})
