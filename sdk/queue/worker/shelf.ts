import type { Claimed } from '../store.ts'

/** Claimed jobs that wait for a place. How many there may be shrinks when some were handed back, and grows while all are used. */
export interface Shelf {
  put(jobs: readonly Claimed[]): void
  take(): Claimed | undefined
  size(): number
  limit(): number
  /** Takes off all jobs, where the first of them has waited for longer than so many milliseconds. */
  unused(ms: number): readonly Claimed[]
  empty(): readonly Claimed[]
}

export function createShelf(most: number, now: () => number = () => performance.now()): Shelf {
  let jobs: Claimed[] = []
  let next = 0
  let since = 0
  let limit = most
  const empty = (): readonly Claimed[] => {
    const rest = jobs.slice(next)
    jobs = []
    next = 0
    return rest
  }
  return {
    put(more) {
      if (more.length === 0) return
      if (next === jobs.length) {
        limit = Math.min(most, limit * 2 + 1)
        since = now()
        jobs = [...more]
        next = 0
      } else jobs.push(...more)
    },
    take() {
      const job = jobs[next]
      if (job === undefined) return undefined
      next++
      since = now()
      return job
    },
    size: () => jobs.length - next,
    limit: () => limit,
    unused(ms) {
      if (next === jobs.length || now() - since < ms) return []
      limit = Math.floor(limit / 2)
      return empty()
    },
    empty,
  }
}
