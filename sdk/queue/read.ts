import { DEFAULT_SCHEMA } from './install.ts'
import { EVENT_CODES, type JobState, PRIORITIES, type Priority, STATES } from './sql/states.ts'
import { type Database, openStore } from './store.ts'

/** Which jobs are meant; what is left out does not matter. `before` is an id: older ones. */
export interface JobFilter {
  readonly ids?: readonly string[]
  readonly queue?: string
  readonly tenant?: string
  readonly name?: string
  readonly tag?: string
  /** A part of the error's text. */
  readonly error?: string
  readonly state?: JobState
  readonly before?: string
}

/** A job as it is stored. */
export interface JobView {
  readonly id: string
  readonly queue: string
  readonly tenant: string
  readonly name: string
  readonly state: JobState
  readonly priority: Priority
  readonly attempt: number
  readonly maxAttempts: number
  readonly crashes: number
  readonly epoch: number
  readonly seq: number
  readonly runAt: Date
  readonly changedAt: Date
  readonly batch: string | null
  readonly key: string | null
  readonly tags: readonly string[] | null
  readonly payload: unknown
  readonly progress: unknown
  readonly result: unknown
  readonly error: string | null
}

/** What happened to a job once. `seq` is null of a completion that came too late and changed nothing. */
export interface JobEvent {
  readonly at: Date
  readonly seq: number | null
  readonly epoch: number
  readonly worker: number | null
  readonly kind: string
  readonly from: JobState | null
  readonly to: JobState | null
  readonly actor: string | null
  readonly detail: string | null
}

/** A queue in numbers. `runnable` leaves out what more workers would not start sooner; times in seconds. */
export interface QueueStats {
  readonly queue: string
  readonly priority: Priority
  readonly paused: boolean
  readonly ready: number
  readonly runnable: number
  readonly running: number
  readonly delayed: number
  readonly dead: number
  /** Null where nothing waits. */
  readonly oldestAge: number | null
  /** Jobs a second, over the last seconds. */
  readonly arrivalRate: number
}

const nameIn =
  <Name extends string>(table: Readonly<Record<Name, number>>) =>
  (code: unknown): Name | null =>
    (Object.keys(table) as Name[]).find((name) => table[name] === code) ?? null

const stateName = nameIn<JobState>(STATES)
const priorityName = nameIn<Priority>(PRIORITIES)
const eventName = nameIn<string>(EVENT_CODES)

const JOB_FIELDS = [
  ...[
    'id',
    'queue',
    'tenant',
    'name',
    'state',
    'priority',
    'attempt',
    'maxAttempts',
    'crashes',
    'epoch',
    'seq',
    'runAt',
  ],
  ...['changedAt', 'batch', 'key', 'tags', 'payload', 'progress', 'result', 'error'],
] as const

export function readJob(row: readonly unknown[]): JobView {
  const view = Object.fromEntries(JOB_FIELDS.map((field, i) => [field, row[i]]))
  return { ...view, state: stateName(view.state), priority: priorityName(view.priority) } as unknown as JobView
}

export function readEvent(row: readonly unknown[]): JobEvent {
  const [at, seq, epoch, worker, kind, from, to, actor, detail] = row
  const view = {
    at,
    seq,
    epoch,
    worker,
    kind: eventName(kind),
    from: stateName(from),
    to: stateName(to),
    actor,
    detail,
  }
  return view as JobEvent
}

/** All queues in one query: what autoscaling, a status and metrics go by. Needs the access `worker` or `operator`. */
export async function readStats(db: Database, schema: string = DEFAULT_SCHEMA): Promise<readonly QueueStats[]> {
  const rows = await openStore(schema).rows(db, 'stats')
  return rows.map(([queue, priority, paused, ready, runnable, running, delayed, dead, oldest, arrivals]) => ({
    queue: String(queue),
    priority: priorityName(priority) ?? 'normal',
    paused: paused === true,
    ready: Number(ready),
    runnable: Number(runnable),
    running: Number(running),
    delayed: Number(delayed),
    dead: Number(dead),
    oldestAge: oldest === null ? null : Number(oldest),
    arrivalRate: Number(arrivals),
  }))
}
