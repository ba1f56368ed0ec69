import type { Clock } from '../clock.ts'

const SHORTEST_WAIT_MS = 800
const LONGEST_WAIT_MS = 30_000
const CALM_MS = 120_000

/** The pace of a loop that must not hammer a server in trouble. */
export interface Backoff {
  /** Milliseconds to wait after this failure: 800 ms doubling to 30 s with jitter, from the start again after 2 calm minutes. */
  next(): number
  /** True when the last failure is more than 2 minutes ago. */
  readonly calm: boolean
}

/** Makes a Backoff that has seen no failure. */
export function createBackoff(clock: Clock, random: () => number): Backoff {
  let failures = 0
  let last = Number.NEGATIVE_INFINITY
  const isCalm = (): boolean => clock.monotonic() - last > CALM_MS
  return {
    next: () => {
      if (isCalm()) failures = 0
      last = clock.monotonic()
      const doubled = SHORTEST_WAIT_MS * 2 ** Math.min(failures++, 10)
      return Math.min(doubled * (1 + random()), LONGEST_WAIT_MS)
    },
    get calm() {
      return isCalm()
    },
  }
}
