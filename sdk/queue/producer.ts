import type { ClientBase } from 'pg'
import { createCoalescer } from './coalesce.ts'
import type { Core } from './core.ts'
import { toQueueError } from './errors.ts'
import { type Enqueued, encodeJob, type JobInput, type JobMap, receipts } from './jobs.ts'
import { PAYLOAD_LIMIT } from './sql/tables.ts'
import type { Database, Made } from './store.ts'

/** Single jobs that are sent in one statement at most, and statements under way at a time. */
const BATCH = 1000
const IN_FLIGHT = 4

/** Jobs that belong together: `afterwards` is enqueued when all of them have ended, however they did. */
export interface BatchOptions<Jobs extends JobMap> {
  readonly afterwards?: JobInput<Jobs>
}

/** Puts jobs into the database and tells Redis of them. */
export interface Producer<Jobs extends JobMap> {
  add(job: JobInput<Jobs>): Promise<Enqueued>
  enqueue(jobs: readonly JobInput<Jobs>[], options?: BatchOptions<Jobs>): Promise<readonly Enqueued[]>
  enqueueIn(tx: ClientBase, jobs: readonly JobInput<Jobs>[], options?: BatchOptions<Jobs>): Promise<readonly Enqueued[]>
  drain(): Promise<void>
}

export function createProducer<Jobs extends JobMap>(core: Core): Producer<Jobs> {
  const limit = core.options.payloadLimit ?? PAYLOAD_LIMIT
  const put = (db: Database, jobs: readonly string[], callback?: string): Promise<Made> =>
    core.store.value<Made>(db, 'enqueue', `[${jobs.join(',')}]`, callback ?? null)
  const singles = createCoalescer<string, Enqueued>({
    most: BATCH,
    inFlight: IN_FLIGHT,
    apart: (error) => toQueueError(error, 'enqueue').advice === 'never',
    flush: async (jobs) => {
      const made = await put(core.pool, jobs)
      void core.tell(made)
      return receipts(made.ids, made.twins)
    },
  })
  const many = (db: Database, jobs: readonly JobInput<Jobs>[], afterwards?: JobInput<Jobs>): Promise<Made> =>
    put(
      db,
      jobs.map((job) => encodeJob(job, limit)),
      afterwards && encodeJob(afterwards, limit),
    )
  return {
    add: (job) => singles.add(encodeJob(job, limit)),
    async enqueue(jobs, { afterwards } = {}) {
      const made = await many(core.pool, jobs, afterwards)
      void core.tell(made)
      return receipts(made.ids, made.twins)
    },
    // In somebody else's transaction nothing is known of the commit: the relay tells Redis of these.
    async enqueueIn(tx, jobs, { afterwards } = {}) {
      const made = await many(tx, jobs, afterwards)
      return receipts(made.ids, made.twins)
    },
    drain: () => singles.drain(),
  }
}
