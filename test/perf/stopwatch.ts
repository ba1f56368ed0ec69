/** How often something was done, and how long it took on average in milliseconds. */
export interface Phase {
  readonly count: number
  readonly ms: number
}

/** Adds up the times of what runs side by side, by name. */
export class Stopwatch {
  readonly #sums = new Map<string, { count: number; ms: number }>()

  async time<T>(name: string, work: () => Promise<T>): Promise<T> {
    const begin = performance.now()
    try {
      return await work()
    } finally {
      const sum = this.#sums.get(name) ?? { count: 0, ms: 0 }
      this.#sums.set(name, { count: sum.count + 1, ms: sum.ms + performance.now() - begin })
    }
  }

  phases(): ReadonlyMap<string, Phase> {
    return new Map([...this.#sums].map(([name, { count, ms }]) => [name, { count, ms: ms / count }]))
  }
}
