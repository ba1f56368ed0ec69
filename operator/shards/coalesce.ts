import { AsyncLocalStorage } from 'node:async_hooks'
import { type Clock, sleep } from '../clock.ts'
import { currentReconcile, type ReconcileContext } from '../telemetry/reconcile-context.ts'

/** So many questions at once are a crowd: more will come soon, and a call that waits for them saves the server one. */
const CROWD = 3
const LONGEST_PAUSE_MS = 250

/**
 * Joins calls for names into few calls for sets of names: while one call is under way, all that ask meanwhile share the
 * next. The cost of observing then follows the server's round trips, not the number of tenants that are waiting. After a call
 * for a crowd there is a pause as long as the call itself took, so that reading a busy server takes half its time at most.
 */
export class Coalescer<T> {
  readonly #load: Load<T>
  readonly #clock: Clock
  #waiting: Batch<T> | undefined
  #busy = false

  constructor(load: Load<T>, clock: Clock) {
    this.#load = load
    this.#clock = clock
  }

  /** A result that was read after this call began and covers at least `names`. */
  read(names: readonly string[]): Promise<T> {
    this.#waiting ??= newBatch()
    this.#waiting.asked++
    for (const name of names) this.#waiting.names.add(name)
    const reconcile = currentReconcile()
    if (reconcile) this.#waiting.joined.push(reconcile)
    const { promise } = this.#waiting.result
    if (!this.#busy) queueMicrotask(() => this.#next())
    this.#busy = true
    return promise
  }

  #next(): void {
    const batch = this.#waiting
    this.#waiting = undefined
    if (!batch) {
      this.#busy = false
      return
    }
    const startedAt = this.#clock.monotonic()
    batch
      .inContext(() => this.#load([...batch.names], batch.joined))
      .then(batch.result.resolve, batch.result.reject)
      .finally(async () => {
        if (batch.asked >= CROWD) await this.#pause(this.#clock.monotonic() - startedAt)
        this.#next()
      })
  }

  async #pause(ms: number): Promise<void> {
    await sleep(this.#clock, Math.min(ms, LONGEST_PAUSE_MS))
  }
}

/** `joined`: the reconciles that wait for the result; the call runs in the asynchronous context of the first who asked. */
type Load<T> = (names: readonly string[], joined: readonly ReconcileContext[]) => Promise<T>

interface Batch<T> {
  readonly names: Set<string>
  asked: number
  readonly joined: ReconcileContext[]
  readonly result: PromiseWithResolvers<T>
  readonly inContext: <R>(run: () => R) => R
}

function newBatch<T>(): Batch<T> {
  return {
    names: new Set(),
    asked: 0,
    joined: [],
    result: Promise.withResolvers<T>(),
    inContext: AsyncLocalStorage.snapshot(),
  }
}
