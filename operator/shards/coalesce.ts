import { AsyncLocalStorage } from 'node:async_hooks'
import { currentReconcile, type ReconcileContext } from '../telemetry/reconcile-context.ts'

/**
 * Joins calls for names into few calls for sets of names: while one call is under way, all that ask meanwhile share the
 * next. The cost of observing then follows the server's round trips, not the number of tenants that are waiting.
 */
export class Coalescer<T> {
  readonly #load: Load<T>
  #waiting: Batch<T> | undefined
  #busy = false

  constructor(load: Load<T>) {
    this.#load = load
  }

  /** A result that was read after this call began and covers at least `names`. */
  read(names: readonly string[]): Promise<T> {
    this.#waiting ??= newBatch()
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
    batch
      .inContext(() => this.#load([...batch.names], batch.joined))
      .then(batch.result.resolve, batch.result.reject)
      .finally(() => this.#next())
  }
}

/** `joined`: the reconciles that wait for the result; the call runs in the asynchronous context of the first who asked. */
type Load<T> = (names: readonly string[], joined: readonly ReconcileContext[]) => Promise<T>

interface Batch<T> {
  readonly names: Set<string>
  readonly joined: ReconcileContext[]
  readonly result: PromiseWithResolvers<T>
  readonly inContext: <R>(run: () => R) => R
}

function newBatch<T>(): Batch<T> {
  return { names: new Set(), joined: [], result: Promise.withResolvers<T>(), inContext: AsyncLocalStorage.snapshot() }
}
