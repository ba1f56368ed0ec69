import { createCoalescer } from '../coalesce.ts'
import type { Core } from '../core.ts'
import { toQueueError } from '../errors.ts'
import { arrayText, type Claimed, type Failure, type Outcome } from '../store.ts'

const BATCH = 500
/** Statements of each kind under way at a time: more only wait for the same commit. */
const IN_FLIGHT = 2
/** How long an outcome is held while the database does not answer: the lease is over by then. */
const HOLD_MS = 60_000

interface Ended {
  readonly worker: number
  readonly job: Claimed
}

/** Whether the database took it: false where the job was not this worker's any more. */
type Taken = boolean

/** Tells the database how jobs ended, many at a time. What cannot be told because it does not answer is tried again for a while. */
export interface Finisher {
  complete(worker: number, job: Claimed, result: string | null): Promise<Taken>
  fail(worker: number, failure: Failure): Promise<Taken>
  release(worker: number, jobs: readonly Claimed[]): Promise<void>
  drain(): Promise<void>
}

export function createFinisher(core: Core): Finisher {
  const { store, pool } = core
  const completions = createCoalescer<Ended & { readonly result: string | null }, Taken>({
    most: BATCH,
    inFlight: IN_FLIGHT,
    apart: (error) => toQueueError(error, 'complete').advice === 'never',
    flush: (ended) =>
      perWorker(ended, async (worker, mine) => {
        const ids = mine.map(({ job }) => job.id)
        const epochs = arrayText(mine.map(({ job }) => job.epoch))
        const results = mine.some(({ result }) => result !== null) ? mine.map(({ result }) => result) : null
        const call = () => store.value<Outcome | null>(pool, 'complete', worker, arrayText(ids), epochs, results)
        return taken(core, ids, await persistently(call))
      }),
  })
  const failures = createCoalescer<{ readonly worker: number; readonly failure: Failure }, Taken>({
    most: BATCH,
    inFlight: 1,
    apart: (error) => toQueueError(error, 'fail').advice === 'never',
    flush: (failed) =>
      perWorker(failed, async (worker, mine) => {
        const text = JSON.stringify(mine.map(({ failure }) => failure))
        const outcome = await persistently(() => store.value<Outcome>(pool, 'fail', worker, text))
        return taken(
          core,
          mine.map(({ failure }) => failure.id),
          outcome,
        )
      }),
  })
  return {
    complete: (worker, job, result) => completions.add({ worker, job, result }),
    fail: (worker, failure) => failures.add({ worker, failure }),
    async release(worker, jobs) {
      if (jobs.length === 0) return
      const ids = arrayText(jobs.map(({ id }) => id))
      const epochs = arrayText(jobs.map(({ epoch }) => epoch))
      await core.tell(await store.value<Outcome>(pool, 'release', worker, ids, epochs))
    },
    async drain() {
      await Promise.all([completions.drain(), failures.drain()])
    },
  }
}

/** Almost always one worker's: another only for a moment after the lease ran out. */
async function perWorker<T extends { readonly worker: number }>(
  all: readonly T[],
  flush: (worker: number, mine: readonly T[]) => Promise<readonly Taken[]>,
): Promise<readonly Taken[]> {
  const [first] = all
  if (first === undefined) return []
  if (all.every(({ worker }) => worker === first.worker)) return flush(first.worker, all)
  const answers = new Map<T, Taken>()
  for (const [worker, mine] of Map.groupBy(all, (one) => one.worker)) {
    const taken = await flush(worker, mine)
    for (const [i, one] of mine.entries()) answers.set(one, taken[i] ?? false)
  }
  return all.map((one) => answers.get(one) ?? false)
}

function taken(core: Core, ids: readonly string[], outcome: Outcome | null): readonly Taken[] {
  if (outcome === null) return ids.map(() => true)
  if (outcome.freed || (outcome.ready && outcome.ready.length > 0)) void core.tell(outcome)
  const late = new Set(outcome.fenced ?? [])
  return ids.map((id) => !late.has(id))
}

async function persistently<T>(call: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + HOLD_MS
  for (let wait = 50; ; wait = Math.min(wait * 2, 2000)) {
    try {
      return await call()
    } catch (error) {
      if (toQueueError(error, 'finish jobs').advice === 'never' || performance.now() > giveUpAt) throw error
    }
    await new Promise((wake) => setTimeout(wake, wait * (0.5 + Math.random())))
  }
}
