/** Lets at most `limit` tasks run at once; the others wait in order. */
export class Semaphore {
  readonly #limit: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** How many tasks wait for room. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Runs `task` when there is room; rejects without running it when `signal` aborted before. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter()
    try {
      signal?.throwIfAborted()
      return await task()
    } finally {
      this.#leave()
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#limit) {
      this.#running++
      return
    }
    await new Promise<void>((admit) => this.#waiting.push(admit))
  }

  /** The place passes straight to the next in line, so that nobody overtakes. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#running--
  }
}
