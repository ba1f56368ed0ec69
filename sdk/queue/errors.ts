/** Whether the same call may succeed later: `retry` says yes without a change, `never` only after somebody changed something. */
export type Advice = 'retry' | 'never'

/** What can go wrong in the queue; the key is the `code` of a QueueError. */
export const QUEUE_ERRORS = {
  InvalidJob: { advice: 'never', title: 'A job cannot be taken as it is' },
  PayloadTooLarge: { advice: 'never', title: 'A payload or result is larger than the queue takes' },
  UnknownQueue: { advice: 'never', title: 'A queue of that name does not exist' },
  UnknownJob: { advice: 'never', title: 'No handler of that name is registered' },
  InvalidCron: { advice: 'never', title: 'A schedule cannot be read or never comes due' },
  InvalidOptions: { advice: 'never', title: 'An option has no usable value' },
  Forbidden: { advice: 'never', title: 'The login may not do this' },
  NotInstalled: { advice: 'never', title: 'The queue is not installed in that schema, or another version of it' },
  WrongEngine: { advice: 'never', title: 'The server behind the address is of another engine' },
  Fenced: { advice: 'never', title: 'The job was given to another worker, cancelled or finished meanwhile' },
  TimedOut: { advice: 'retry', title: 'A job ran longer than its queue allows' },
  WorkerExpired: { advice: 'retry', title: 'The worker was silent for longer than its lease' },
  Unreachable: { advice: 'retry', title: 'A server could not be reached' },
  Closed: { advice: 'never', title: 'The client was closed' },
  Failed: { advice: 'retry', title: 'The server refused a statement' },
} as const satisfies Record<string, { advice: Advice; title: string }>

/** A key of the table of errors. */
export type QueueErrorCode = keyof typeof QUEUE_ERRORS

/** The error that every function of the queue throws. The message says what was tried on what, what was wrong and what to do. */
export class QueueError extends Error {
  readonly code: QueueErrorCode
  readonly advice: Advice

  constructor(code: QueueErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'QueueError'
    this.code = code
    this.advice = QUEUE_ERRORS[code].advice
  }
}

/** The SQLSTATEs that the queue's functions raise, beside those of the server. */
export const SQLSTATES = {
  TQ001: 'InvalidJob',
  TQ002: 'PayloadTooLarge',
  TQ003: 'UnknownQueue',
  TQ004: 'WorkerExpired',
  TQ005: 'InvalidOptions',
} as const satisfies Record<string, QueueErrorCode>

const SERVER_STATES: Readonly<Record<string, QueueErrorCode>> = {
  ...SQLSTATES,
  '22P02': 'InvalidJob',
  '22P05': 'InvalidJob',
  '22021': 'InvalidJob',
  '28000': 'Forbidden',
  '28P01': 'Forbidden',
  '42501': 'Forbidden',
  '3F000': 'NotInstalled',
  '42883': 'NotInstalled',
  '42P01': 'NotInstalled',
  '08': 'Unreachable',
  '53': 'Unreachable',
  '57': 'Unreachable',
  '25006': 'Unreachable',
}

const ADVICE: Partial<Record<QueueErrorCode, string>> = {
  NotInstalled: 'Run installQueue on this database, or correct the schema.',
  Forbidden: 'Grant the login its part of the queue with grantQueue or bindTenant.',
  Unreachable: 'Check the address, and that the server runs.',
}

/** Turns what pg, ioredis or Node throw into a QueueError. `doing` starts the message: "enqueue 3 jobs". */
export function toQueueError(error: unknown, doing: string): QueueError {
  if (error instanceof QueueError) return error
  const code = codeOf(error)
  const detail = error instanceof Error ? error.message || error.name : String(error)
  const advice = ADVICE[code]
  return new QueueError(code, `${doing}: ${detail}${advice === undefined ? '' : `. ${advice}`}`, error)
}

function codeOf(error: unknown): QueueErrorCode {
  const state = String(Reflect.get(Object(error), 'code') ?? '')
  const known = SERVER_STATES[state] ?? SERVER_STATES[state.slice(0, 2)]
  if (known !== undefined) return known
  const message = error instanceof Error ? error.message : ''
  if (/^E[A-Z]+$/.test(state) || LOST.test(message)) return 'Unreachable'
  return 'Failed'
}

const LOST =
  /connection terminated|connection ended|client was closed|timeout exceeded|timeout expired|connection timeout|Connection is closed|read timeout|Command timed out|max retries|not queryable/i
