import type { QueueRow } from '../configuration.ts'
import type { Core } from '../core.ts'
import { QueueError } from '../errors.ts'
import type { Claimed } from '../store.ts'
import { fencedError, type Running, startRunning } from './context.ts'
import { type Counts, createEndings, type Endings } from './ending.ts'
import type { Finisher } from './finisher.ts'
import type { AnyHandlers, JobContext } from './handlers.ts'

interface Options {
  readonly core: Core
  readonly handlers: AnyHandlers
  readonly finisher: Finisher
  readonly worker: () => number
  readonly queueOf: (name: string) => QueueRow | undefined
  readonly payloadLimit: () => number
  /** A place is free again. */
  readonly onFree: () => void
}

export interface Runner {
  readonly running: ReadonlyMap<string, Running>
  readonly counts: Counts
  start(job: Claimed): void
  /** Aborts jobs; nothing is told of them any more. */
  drop(ids: Iterable<string>, reason: string): void
}

const DEFAULT_TIMEOUT_MS = 300_000
/** A timer cannot wait longer: 24 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Runs jobs by their handlers and tells how they ended. */
export function createRunner(options: Options): Runner {
  const { core } = options
  const running = new Map<string, Running>()
  const endings = createEndings(options)
  const { counts } = endings
  let suspects: Promise<unknown> = Promise.resolve()
  const free = (mine: Running): void => {
    if (running.get(mine.job.id) !== mine) return
    running.delete(mine.job.id)
    options.onFree()
  }
  const run = (mine: Running): Promise<void> => runOne({ ...options, endings, free }, mine)
  return {
    running,
    counts,
    start(job) {
      const mine = startRunning({ core, job, worker: options.worker(), resultLimit: options.payloadLimit })
      running.set(job.id, mine)
      if (job.crashes === 0) return void run(mine)
      // Whichever of several brought a worker down is found only when each runs without the others.
      suspects = suspects.then(() => runSuspect(core, mine, run)).finally(() => free(mine))
    },
    drop(ids, reason) {
      for (const id of ids) {
        const mine = running.get(id)
        if (mine === undefined) continue
        mine.settled = true
        counts.fenced++
        mine.abort(new QueueError('Fenced', `job ${id} (${mine.job.name}): ${reason}`))
        free(mine)
      }
    },
  }
}

interface Run extends Options {
  readonly endings: Endings
  readonly free: (mine: Running) => void
}

async function runOne({ handlers, queueOf, endings, free }: Run, mine: Running): Promise<void> {
  const { job, context } = mine
  const { counts } = endings
  const timeout = Math.min(queueOf(job.queue)?.timeout_ms ?? DEFAULT_TIMEOUT_MS, LONGEST_TIMER_MS)
  let late = false
  const timer = setTimeout(() => {
    late = true
    const error = new QueueError('TimedOut', `job ${job.id} (${job.name}): it ran longer than ${timeout} ms`)
    mine.abort(error)
    counts.abandoned++
    void endings.fail(mine, error)
    free(mine)
  }, timeout)
  // The place is free as soon as the handler ended: what is still to be told is told together with others.
  const ended = (): void => {
    clearTimeout(timer)
    if (late) counts.abandoned--
    free(mine)
  }
  try {
    const value = await call(handlers, job, context)
    ended()
    await endings.succeed(mine, value)
  } catch (error) {
    ended()
    await endings.fail(mine, error)
  }
}

async function runSuspect(core: Core, mine: Running, run: (mine: Running) => Promise<void>): Promise<void> {
  const { job, worker } = mine
  if (mine.settled) return
  try {
    if (await core.store.value<boolean>(core.pool, 'begin_suspect', worker, job.id, job.epoch)) return await run(mine)
    mine.abort(fencedError(job))
  } catch (error) {
    core.report(error, `begin job ${job.id}`)
  }
}

function call(handlers: AnyHandlers, job: Claimed, context: JobContext): unknown {
  const handler = Object.hasOwn(handlers, job.name) ? handlers[job.name] : undefined
  if (handler !== undefined) return handler(job.payload, context)
  const advice = 'register one, or cancel the job'
  throw new QueueError('UnknownJob', `job ${job.id}: this worker has no handler for ${job.name}: ${advice}`)
}
