import type { Clock } from '../clock.ts'

export interface PaceOptions {
  /** So many runs of a key may follow each other at once. */
  readonly burst: number
  /** Beyond them there is one run of it in so many milliseconds. */
  readonly refillMs: number
}

/** How soon a key may run again. */
export interface Pace {
  /** To be told of every start. */
  started(key: string): void
  /** When the key may run, in monotonic milliseconds; in the past when now. */
  readyAt(key: string): number
}

/** Makes a pace. It remembers only keys that ran lately. */
export function createPace(clock: Clock, { burst, refillMs }: PaceOptions): Pace {
  /** Until when each key has used up what it may, those that started longest ago first. */
  const usedUntil = new Map<string, number>()
  const forgetOne = (now: number): void => {
    for (const [key, until] of usedUntil) {
      if (until <= now) usedUntil.delete(key)
      return
    }
  }
  return {
    started: (key) => {
      const now = clock.monotonic()
      const until = Math.max(now, usedUntil.get(key) ?? now) + refillMs
      usedUntil.delete(key)
      usedUntil.set(key, until)
      forgetOne(now)
      forgetOne(now)
    },
    readyAt: (key) => (usedUntil.get(key) ?? Number.NEGATIVE_INFINITY) - (burst - 1) * refillMs,
  }
}

/** No pace: every key may run at any time. */
export const NO_PACE: Pace = { started: () => undefined, readyAt: () => Number.NEGATIVE_INFINITY }
