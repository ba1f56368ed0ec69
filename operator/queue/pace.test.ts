import { describe, expect, test } from 'vitest'
import { FakeClock, settle } from './fake-clock.ts'
import { createPace } from './pace.ts'
import { bench } from './queue-bench.ts'
import { PRIORITY } from './work-queue.ts'

const PACE = { burst: 3, refillMs: 100 }

describe('a pace', () => {
  test('lets a burst pass and then one run in each stretch, and knows nothing of other keys', () => {
    const clock = new FakeClock()
    const pace = createPace(clock, PACE)
    for (let n = 0; n < 3; n++) {
      expect(pace.readyAt('a')).toBeLessThanOrEqual(clock.monotonic())
      pace.started('a')
    }
    expect(pace.readyAt('a')).toBe(clock.monotonic() + 100)
    expect(pace.readyAt('b')).toBeLessThanOrEqual(clock.monotonic())
  })

  test('gives the whole burst again to a key that was left alone', async () => {
    const clock = new FakeClock()
    const pace = createPace(clock, PACE)
    for (let n = 0; n < 50; n++) pace.started('a')
    await clock.advance(10_000)
    for (let n = 0; n < 3; n++) {
      expect(pace.readyAt('a')).toBeLessThanOrEqual(clock.monotonic())
      pace.started('a')
    }
  })
})

describe('a queue with a pace', () => {
  test('runs a key that is added without end at that pace, others at once, and what is being deleted at once', async () => {
    const { clock, queue, started, begin, end } = bench({ pace: PACE })
    void begin()
    const addAndRun = async (key: string, priority?: number): Promise<number> => {
      const before = started.length
      queue.add(key, priority === undefined ? {} : { priority })
      await settle()
      if (started.length > before) await end(key)
      return started.length - before
    }
    let runs = 0
    for (let n = 0; n < 100; n++) runs += await addAndRun('a')
    expect(runs).toBe(3)
    expect(await addAndRun('b')).toBe(1)
    await clock.advance(1000)
    await settle()
    await end('a')
    for (let n = 0; n < 100; n++) runs += await addAndRun('a')
    expect(runs).toBe(6)
    expect(await addAndRun('a', PRIORITY.finalize)).toBe(1)
  })

  test('loses no key that it lets wait', async () => {
    const { clock, queue, started, begin, end } = bench({ pace: PACE })
    void begin()
    for (let n = 0; n < 10; n++) {
      queue.add('a')
      await settle()
      if (queue.running.length > 0) await end('a')
    }
    const soFar = started.length
    expect(queue.delayed).toBe(1)
    await clock.advance(100)
    await settle()
    expect(started.length).toBe(soFar + 1)
  })
})
