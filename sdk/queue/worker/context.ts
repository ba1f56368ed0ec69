import type { PoolClient } from 'pg'
import type { Core } from '../core.ts'
import { QueueError } from '../errors.ts'
import { checkSize } from '../jobs.ts'
import { arrayText, type Claimed, type Outcome } from '../store.ts'
import type { JobContext } from './handlers.ts'

/** A job that runs. */
export interface Running {
  readonly job: Claimed
  readonly worker: number
  readonly startedAt: number
  /** The job's outcome is decided: nothing else is told of it. */
  settled: boolean
  /** It was completed in the handler's own transaction. */
  committed: boolean
  abort(reason: QueueError): void
  readonly context: JobContext
}

interface Options {
  readonly core: Core
  readonly job: Claimed
  readonly worker: number
  readonly resultLimit: () => number
}

/** The context of a job. Its signal is made when it is first looked at: most handlers never do. */
export function startRunning({ core, job, worker, resultLimit }: Options): Running {
  let controller: AbortController | undefined
  let aborted: QueueError | undefined
  const running: Running = {
    job,
    worker,
    startedAt: performance.now(),
    settled: false,
    committed: false,
    abort(reason) {
      aborted ??= reason
      controller?.abort(aborted)
    },
    context: {
      fence: { id: job.id, epoch: job.epoch },
      queue: job.queue,
      tenant: job.tenant,
      name: job.name,
      attempt: job.attempt,
      get signal() {
        controller ??= new AbortController()
        if (aborted) controller.abort(aborted)
        return controller.signal
      },
      async progress(value) {
        const text = encodeResult(value, resultLimit(), `progress of ${job.name}`) ?? 'null'
        const ok = await core.store.value<boolean>(core.pool, 'progress', worker, job.id, job.epoch, text)
        if (!ok) throw fencedError(job)
      },
      tx: (work) => completeInside({ core, running: () => running, resultLimit }, work),
    },
  }
  return running
}

interface Inside {
  readonly core: Core
  readonly running: () => Running
  readonly resultLimit: () => number
}

async function completeInside<T>(
  { core, running, resultLimit }: Inside,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const mine = running()
  const { job, worker } = mine
  if (mine.settled) throw fencedError(job)
  let outcome: Outcome | null = null
  const result = await core.transaction(async (client) => {
    const value = await work(client)
    const text = encodeResult(value, resultLimit(), `result of ${job.name}`)
    const [ids, epochs] = [arrayText([job.id]), arrayText([job.epoch])]
    outcome = await core.store.value<Outcome | null>(
      client,
      'complete',
      worker,
      ids,
      epochs,
      text === null ? null : [text],
    )
    if (outcome?.fenced) throw fencedError(job)
    return value
  })
  mine.settled = true
  mine.committed = true
  if (outcome !== null) void core.tell(outcome)
  return result
}

/** The JSON text of what a handler returned; null of undefined. Throws where it is none or too large. */
export function encodeResult(value: unknown, limit: number, subject: string): string | null {
  if (value === undefined) return null
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new QueueError('InvalidJob', `${subject}: it is no JSON: ${String(error)}`, error)
  }
  if (text === undefined) return null
  checkSize(text, limit, subject)
  return text
}

export function fencedError(job: Claimed): QueueError {
  return new QueueError('Fenced', `job ${job.id} (${job.name}): it was cancelled, finished or given to another worker`)
}
