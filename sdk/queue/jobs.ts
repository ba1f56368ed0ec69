import { QueueError } from './errors.ts'
import { MAX_DELAY_MS } from './sql/enqueue.ts'
import { PRIORITIES, type Priority } from './sql/states.ts'

/** The names of an application's jobs with their payloads, e.g. `{ welcome: { user: string } }`. */
export type JobMap = object

/** How a job is to be run. */
export interface JobOptions {
  /** A queue that exists; `default` where it is left out. */
  readonly queue?: string
  /** Whose job it is; a login that is bound to a tenant may leave it out or name its own. */
  readonly tenant?: string
  /** The queue's priority where it is left out. */
  readonly priority?: Priority
  /** Milliseconds to wait, by the database's clock. */
  readonly delay?: number
  readonly at?: Date
  /** How often it is tried; the queue's where it is left out. */
  readonly attempts?: number
  /** While a job of this key lives in the queue (or for `keep` milliseconds), another one of the tenant is not made. */
  readonly key?: string
  readonly keep?: number
  readonly tags?: readonly string[]
}

/** A job to be enqueued, with the payload that its name asks for. */
export type JobInput<Jobs extends JobMap> = {
  [Name in keyof Jobs & string]: { readonly name: Name; readonly payload: Jobs[Name] } & JobOptions
}[keyof Jobs & string]

/** A job that was enqueued. Where `duplicate` is true, it is the one that had the key before. */
export interface Enqueued {
  readonly id: string
  readonly duplicate: boolean
}

interface AnyJob extends JobOptions {
  readonly name: string
  readonly payload: unknown
}

/** The JSON text of a job as the database reads it. Throws where it could not be taken, and says why. */
export function encodeJob(job: AnyJob, payloadLimit: number): string {
  const { name, payload, priority, at, ...rest } = job
  if (typeof name !== 'string' || name === '') throw invalid('?', 'its name is empty')
  checkTimes(job)
  if (priority !== undefined && PRIORITIES[priority] === undefined) {
    throw invalid(name, `priority ${String(priority)} is none of ${Object.keys(PRIORITIES).join(', ')}`)
  }
  const head = JSON.stringify({
    name,
    ...rest,
    ...(priority !== undefined && { priority: PRIORITIES[priority] }),
    ...(at !== undefined && { at: at.toISOString() }),
  })
  return `${head.slice(0, -1)},"payload":${encodePayload(name, payload, payloadLimit)}}`
}

function checkTimes({ name, delay, at, keep, attempts }: AnyJob): void {
  for (const [option, value, least] of [
    ['delay', delay, 0],
    ['keep', keep, 1],
    ['attempts', attempts, 1],
  ] as const) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= MAX_DELAY_MS)) continue
    throw invalid(name, `${option} is ${value}, and must be a whole number of at least ${least}`)
  }
  if (at !== undefined && Number.isNaN(at.getTime())) throw invalid(name, 'its time is not a valid date')
}

/** The escapes that JSON allows and Postgres does not; an escaped backslash before a u is none. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/

function encodePayload(name: string, payload: unknown, limit: number): string {
  let text: string
  try {
    text = JSON.stringify(payload) ?? 'null'
  } catch (error) {
    throw new QueueError('InvalidJob', `enqueue ${name}: its payload is no JSON: ${String(error)}`, error)
  }
  checkSize(text, limit, `enqueue ${name}: its payload`)
  if (text.includes('\\u') && UNSTORABLE.test(text)) {
    throw invalid(name, 'its payload holds U+0000 or half of a surrogate pair, which Postgres cannot read')
  }
  return text
}

/** Throws where a JSON text has more bytes than the limit. */
export function checkSize(text: string, limit: number, subject: string): void {
  // A character has at most three bytes for each of its UTF-16 units.
  if (text.length * 3 <= limit) return
  const bytes = Buffer.byteLength(text)
  if (bytes <= limit) return
  throw new QueueError(
    'PayloadTooLarge',
    `${subject} has ${bytes} bytes, and the queue takes ${limit}: store it elsewhere and enqueue its address`,
  )
}

function invalid(name: string, reason: string): QueueError {
  return new QueueError('InvalidJob', `enqueue ${name}: ${reason}`)
}

/** The receipts of an answer, in the order of the jobs. */
export function receipts(ids: string, twins: readonly (readonly [number, string])[] | null): readonly Enqueued[] {
  const all = ids === '' ? [] : ids.split(' ').map((id) => ({ id, duplicate: false }))
  for (const [place, id] of twins ?? []) all[place - 1] = { id, duplicate: true }
  return all
}
