import { inspect } from 'node:util'
import { nextDelay } from '../backoff.ts'
import type { QueueRow } from '../configuration.ts'
import type { Core } from '../core.ts'
import { QueueError } from '../errors.ts'
import type { Claimed } from '../store.ts'
import { encodeResult, type Running } from './context.ts'
import type { Finisher } from './finisher.ts'

/** What a runner counts; `untold` are outcomes that the database has not taken yet. */
export interface Counts {
  completed: number
  failed: number
  fenced: number
  abandoned: number
  untold: number
}

/** How jobs end: each once, whatever happens to their handlers later. */
export interface Endings {
  readonly counts: Counts
  succeed(mine: Running, value: unknown): Promise<void>
  fail(mine: Running, error: unknown): Promise<void>
}

interface Options {
  readonly core: Core
  readonly finisher: Finisher
  readonly queueOf: (name: string) => QueueRow | undefined
  readonly payloadLimit: () => number
  readonly onFree: () => void
}

export function createEndings({ core, finisher, queueOf, payloadLimit, onFree }: Options): Endings {
  const counts: Counts = { completed: 0, failed: 0, fenced: 0, abandoned: 0, untold: 0 }
  const settle = async (mine: Running, count: 'completed' | 'failed', tell: () => Promise<boolean>): Promise<void> => {
    if (mine.settled) return
    mine.settled = true
    counts.untold++
    try {
      counts[(await tell()) ? count : 'fenced']++
    } catch (error) {
      core.report(error, `tell how job ${mine.job.id} ended`)
    } finally {
      counts.untold--
      onFree()
    }
  }
  const fail = (mine: Running, error: unknown): Promise<void> => {
    const { job, worker } = mine
    const failure = {
      id: job.id,
      epoch: job.epoch,
      delay: delayOf(error, job, queueOf(job.queue)),
      error: describe(error),
    }
    return settle(mine, 'failed', () => finisher.fail(worker, failure))
  }
  return {
    counts,
    fail,
    async succeed(mine, value) {
      if (mine.committed) counts.completed++
      if (mine.settled) return
      let result: string | null
      try {
        result = encodeResult(value, payloadLimit(), `result of ${mine.job.name}`)
      } catch (error) {
        return fail(mine, error)
      }
      await settle(mine, 'completed', () => finisher.complete(mine.worker, mine.job, result))
    },
  }
}

/** Null where it would fail in the same way again. A name that is unknown here may be known to a newer worker. */
function delayOf(error: unknown, job: Claimed, queue: QueueRow | undefined): number | null {
  const code = error instanceof QueueError ? error.code : undefined
  if (code === 'InvalidJob' || code === 'PayloadTooLarge') return null
  return nextDelay(job.backoff, { base: queue?.backoff_ms ?? 1000, limit: queue?.backoff_limit_ms ?? 3_600_000 })
}

/** What to store of anything that may be thrown; looking at it may throw as well. */
function describe(error: unknown): string {
  try {
    const text = error instanceof Error ? (error.stack ?? String(error)) : inspect(error, { depth: 2 })
    return text.replaceAll('\0', '').toWellFormed().slice(0, 8000)
  } catch {
    return 'the handler threw something that cannot be shown'
  }
}
