import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { settle } from './fake-clock.ts'
import { bench, type QueueBench } from './queue-bench.ts'

const KEYS = ['a1', 'a2', 'a3', 'b1', 'b2', 'a4+b3', 'b4+c1', 'c2'] as const
const LIMITS = { concurrency: 3, laneConcurrency: 2 }

type Ending = 'ok' | 'retry' | 'throw' | 'again'
type Step =
  | { readonly do: 'add'; readonly key: string; readonly priority: number; readonly afterMs: number }
  | { readonly do: 'end'; readonly at: number; readonly how: Ending }
  | { readonly do: 'pass'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      key: fc.constantFrom(...KEYS),
      priority: fc.integer({ min: -100, max: 10 }),
      afterMs: fc.constantFrom(0, 0, 1, 50, 5_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      at: fc.nat(),
      how: fc.constantFrom<Ending>('ok', 'retry', 'throw', 'again'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 10, 1_000, 400_000) }),
  },
)

const lanesOf = (key: string): string[] => key.split('+').map((part) => part.slice(0, 1))

/** What the queue owes: for each key that was asked for, the time from which it may run. */
class Model {
  readonly #bench: QueueBench
  readonly #due = new Map<string, number>()
  #seen = 0

  constructor(queueBench: QueueBench) {
    this.#bench = queueBench
  }

  get owed(): readonly string[] {
    return [...this.#due.keys()]
  }

  async take(action: Step): Promise<void> {
    if (action.do === 'add') {
      this.#bench.queue.add(action.key, action)
      this.#owe(action.key, action.afterMs)
      await settle(1)
    } else if (action.do === 'pass') {
      await this.#bench.clock.advance(action.ms)
    } else {
      const running = [...this.#bench.open.keys()]
      const key = running[action.at % Math.max(1, running.length)]
      if (key !== undefined) await this.#end(key, action.how)
    }
    this.#check()
  }

  /** Ends every run and lets time pass until nothing is owed, or for very long. */
  async finish(): Promise<void> {
    for (let rounds = 0; rounds < 100 && this.#due.size + this.#bench.open.size > 0; rounds++) {
      for (const key of [...this.#bench.open.keys()]) await this.#end(key, 'ok')
      await this.#bench.clock.advance(400_000)
      this.#check()
    }
  }

  async #end(key: string, how: Ending): Promise<void> {
    const { queue, end } = this.#bench
    if (how === 'retry') queue.retry(key)
    if (how === 'again') queue.add(key, { afterMs: 20 })
    if (how !== 'ok') this.#owe(key, how === 'again' ? 20 : 5)
    await end(key, how === 'throw' ? new Error('thrown') : undefined)
  }

  #owe(key: string, afterMs: number): void {
    const due = this.#bench.clock.monotonic() + afterMs
    this.#due.set(key, Math.min(this.#due.get(key) ?? due, due))
  }

  #check(): void {
    const { started, queue, clock } = this.#bench
    for (const key of started.slice(this.#seen)) {
      expect(this.#due.get(key), `${key} was asked for and is due`).toBeLessThanOrEqual(clock.monotonic())
      this.#due.delete(key)
    }
    this.#seen = started.length
    const running = queue.running.map(({ key }) => key)
    expect(new Set(running).size, 'no key beside itself').toBe(running.length)
    expect(running.length).toBeLessThanOrEqual(LIMITS.concurrency)
    for (const lane of ['a', 'b', 'c']) {
      const inLane = running.filter((key) => lanesOf(key).includes(lane))
      expect(inLane.length, `runs in lane ${lane}`).toBeLessThanOrEqual(LIMITS.laneConcurrency)
    }
  }
}

describe('whatever happens, the work queue', () => {
  test('runs no key beside itself or early, keeps to its limits, and loses none', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
        const queueBench = bench({ ...LIMITS, lanes: lanesOf })
        const model = new Model(queueBench)
        queueBench.begin().catch(() => undefined)
        for (const action of steps) await model.take(action)
        await model.finish()
        const { queue, clock } = queueBench
        expect(model.owed, 'nothing that was asked for is left').toEqual([])
        expect([queue.depth, queue.delayed, queue.running.length, clock.timers]).toEqual([0, 0, 0, 0])
      }),
      { numRuns: 300 },
    )
  })

  test('starts what is ready in the order of priority, and of arrival within one', async () => {
    const entry = fc.record({ key: fc.nat({ max: 30 }).map(String), priority: fc.integer({ min: -2, max: 2 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 60 }), async (entries) => {
        const { queue, started, begin, end } = bench()
        for (const { key, priority } of entries) queue.add(key, { priority })
        const order = expectedOrder(entries)
        begin().catch(() => undefined)
        await settle(2)
        for (const key of order) await end(key)
        expect(started).toEqual(order)
      }),
      { numRuns: 100 },
    )
  })
})

function expectedOrder(entries: readonly { key: string; priority: number }[]): string[] {
  const wanted = new Map<string, number>()
  for (const { key, priority } of entries) {
    if (priority <= (wanted.get(key) ?? Number.NEGATIVE_INFINITY)) continue
    wanted.delete(key)
    wanted.set(key, priority)
  }
  return [...wanted].sort((a, b) => b[1] - a[1]).map(([key]) => key)
}
