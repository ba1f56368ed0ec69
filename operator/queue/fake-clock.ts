import type { Clock } from '../clock.ts'
import { Heap } from './heap.ts'

interface Timer {
  at: number
  readonly due: number
  readonly seq: number
  readonly run: () => void
}

/** A clock for tests that stands still until it is advanced. */
export class FakeClock implements Clock {
  readonly #timers = new Heap<Timer>((a, b) => a.due < b.due || (a.due === b.due && a.seq < b.seq))
  readonly #epoch: number
  #elapsed = 0
  #seq = 0

  constructor(start = '2026-01-01T00:00:00Z') {
    this.#epoch = Date.parse(start)
  }

  now(): Date {
    return new Date(this.#epoch + this.#elapsed)
  }

  monotonic(): number {
    return this.#elapsed
  }

  setTimeout(run: () => void, ms: number): () => void {
    const timer = { at: -1, due: this.#elapsed + Math.max(0, ms), seq: this.#seq++, run }
    this.#timers.push(timer)
    return () => this.#timers.remove(timer)
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size
  }

  /** Lets `ms` milliseconds pass: runs every timer at its time, and after each whatever it set off. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await settle()
    for (let next = this.#timers.peek(); next !== undefined && next.due <= end; next = this.#timers.peek()) {
      this.#timers.remove(next)
      this.#elapsed = Math.max(this.#elapsed, next.due)
      next.run()
      await settle()
    }
    this.#elapsed = end
  }
}

/** Lets everything run that needs no time: pending promises and a few turns of the event loop. */
export async function settle(turns = 4): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}
