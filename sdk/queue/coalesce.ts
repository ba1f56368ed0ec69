interface Waiting<I, R> {
  readonly item: I
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

interface Options<I, R> {
  /** Does the work for many at once; the results in the order of the items. */
  readonly flush: (items: readonly I[]) => Promise<readonly R[]>
  readonly most: number
  readonly inFlight: number
  /** Whether, after this error, each item shall be tried by itself, so that one bad one does not fail its neighbours. */
  readonly apart?: (error: unknown) => boolean
}

export interface Coalescer<I, R> {
  add(item: I): Promise<R>
  /** Resolves once all that was added has been answered. */
  drain(): Promise<void>
}

/**
 * Gathers what comes while earlier work is under way, and does it at once. A single item on an idle coalescer starts in the same
 * turn of the event loop.
 */
export function createCoalescer<I, R>(options: Options<I, R>): Coalescer<I, R> {
  const { most, inFlight } = options
  let waiting: Waiting<I, R>[] = []
  let running = 0
  let scheduled = false
  let drained: (() => void)[] = []
  const pump = (): void => {
    scheduled = false
    while (running < inFlight && waiting.length > 0) {
      const batch = waiting.slice(0, most)
      waiting = waiting.slice(most)
      running++
      void answer(options, batch).finally(() => {
        running--
        pump()
      })
    }
    if (running > 0 || waiting.length > 0) return
    for (const done of drained) done()
    drained = []
  }
  return {
    add: (item) =>
      new Promise<R>((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        if (scheduled || running >= inFlight) return
        scheduled = true
        setImmediate(pump)
      }),
    drain: () =>
      running === 0 && waiting.length === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            drained.push(resolve)
          }),
  }
}

async function answer<I, R>(options: Options<I, R>, batch: readonly Waiting<I, R>[]): Promise<void> {
  try {
    const results = await options.flush(batch.map(({ item }) => item))
    for (const [i, { resolve }] of batch.entries()) resolve(results[i] as R)
  } catch (error) {
    if (batch.length > 1 && options.apart?.(error)) await Promise.all(batch.map((one) => answer(options, [one])))
    else for (const { reject } of batch) reject(error)
  }
}
