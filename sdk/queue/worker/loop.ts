import type { Core } from '../core.ts'
import { QueueError } from '../errors.ts'
import type { Fetcher } from './fetcher.ts'
import type { WorkerOptions } from './handlers.ts'
import type { Membership } from './heartbeat.ts'
import type { Runner } from './runner.ts'
import type { Shelf } from './shelf.ts'

const CLAIMS_IN_FLIGHT = 3
/** With more outcomes than this untold, no more jobs are taken: the database does not keep up. */
const MOST_UNTOLD = 4000
/** How long to sleep where Redis wakes the worker. */
const BLOCK_MS = 1000

/** What a worker is made of. */
export interface Parts {
  readonly core: Core
  readonly membership: Membership
  readonly fetcher: Fetcher
  readonly runner: Runner
  readonly shelf: Shelf
  readonly options: Required<Omit<WorkerOptions, 'queues'>>
  /** Whether there are limits that let jobs become claimable by time alone. */
  readonly limited: () => boolean
}

export interface Loop {
  readonly pump: () => void
  /** Resolves when no claim is under way any more. */
  readonly idle: () => Promise<void>
}

/** Starts held jobs where there is room, and claims more before they run out. */
export function createLoop(parts: Parts, signal: AbortSignal): Loop {
  const { membership, fetcher, runner, shelf, options } = parts
  const claims = new Set<Promise<void>>()
  let expected = 0
  let resting = false
  // After a rest one claim is enough to see whether there is anything.
  let probing = true
  const rest = async (ms: number): Promise<void> => {
    if (resting || signal.aborted) return
    resting = true
    await fetcher.wait(ms, signal)
    resting = false
    probing = true
    pump()
  }
  const claim = async (most: number): Promise<void> => {
    const worker = membership.id()
    try {
      const { jobs, dry } = await fetcher.fetch(worker, most)
      if (worker === membership.id()) shelf.put(jobs)
      probing = dry
      if (dry) void rest(restOf(parts))
    } catch (error) {
      await heal(parts, worker, error)
      void rest(options.poll)
    }
  }
  const room = (): number => {
    const busy = resting || claims.size >= (probing ? 1 : CLAIMS_IN_FLIGHT) || runner.counts.untold > MOST_UNTOLD
    if (signal.aborted || busy || !membership.held()) return 0
    return claims.size === 0 ? roomFor(parts, expected, 1) : roomFor(parts, expected, options.batch / 2)
  }
  const pump = (): void => {
    while (!signal.aborted && runner.running.size < options.concurrency) {
      const job = shelf.take()
      if (job === undefined) break
      runner.start(job)
    }
    for (let most = room(); most > 0; most = room()) {
      expected += most
      const made = claim(most).finally(() => {
        expected -= most
        claims.delete(made)
        pump()
      })
      claims.add(made)
    }
  }
  return { pump, idle: async () => void (await Promise.allSettled(claims)) }
}

/** How many to claim: none where there are fewer places than `least`, unless jobs run out before the next claim could come. */
function roomFor({ options, shelf, runner }: Parts, expected: number, least: number): number {
  const { concurrency, batch } = options
  const free = concurrency + shelf.limit() - runner.running.size - shelf.size() - expected
  const hungry = shelf.size() === 0 && runner.running.size < concurrency
  return free >= Math.max(least, 1) && (hungry || free >= Math.min(batch, (concurrency + shelf.limit()) / 2))
    ? Math.min(free, batch)
    : 0
}

/** Redis wakes who rests; but not when only time passed that a rate or a cap asked for. */
function restOf({ core, limited, options }: Parts): number {
  return core.fast === undefined || limited() ? options.poll : BLOCK_MS
}

async function heal({ core, membership }: Parts, worker: number, error: unknown): Promise<void> {
  const expired = error instanceof QueueError && error.code === 'WorkerExpired'
  if (expired) await membership.expired(worker).catch((failure) => core.report(failure, 'register the worker'))
  else core.report(error, 'claim jobs')
}
