/** Time as the operator sees it. Injected, so that tests need not wait and no decision rests on a clock that jumps. */
export interface Clock {
  /** The wall clock: only for what people and other machines read. */
  now(): Date
  /** Milliseconds since some fixed point; never jumps. Every measurement and deadline uses it. */
  monotonic(): number
  /** Calls `run` once after `ms` milliseconds. Returns its cancellation, which is harmless to call twice. */
  setTimeout(run: () => void, ms: number): () => void
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  setTimeout: (run, ms) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/** Waits `ms` milliseconds; returns at once, with false, when `signal` is or becomes aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted) return Promise.resolve(false)
  return new Promise((resolve) => {
    const done = (slept: boolean): void => {
      cancel()
      signal?.removeEventListener('abort', aborted)
      resolve(slept)
    }
    const aborted = (): void => done(false)
    const cancel = clock.setTimeout(() => done(true), ms)
    signal?.addEventListener('abort', aborted, { once: true })
  })
}
