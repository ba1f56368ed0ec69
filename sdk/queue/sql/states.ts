/** The states of a job, as they are stored. */
export const STATES = { scheduled: 0, ready: 1, leased: 2, succeeded: 3, dead: 4, cancelled: 5 } as const

/** A state of a job. */
export type JobState = keyof typeof STATES

/** The classes of priority, as they are stored; a lower number goes first. */
export const PRIORITIES = { high: 0, normal: 1, low: 2 } as const

/** A class of priority. */
export type Priority = keyof typeof PRIORITIES

/** How many of 21 claims each class gets while all three wait. */
export const CLASS_WEIGHTS: Readonly<Record<Priority, number>> = { high: 16, normal: 4, low: 1 }

interface Transition {
  /** What the event's row says. */
  readonly code: number
  /** Empty for what makes a job. */
  readonly from: readonly JobState[]
  readonly to: JobState
}

/**
 * The state machine: the only edges there are. The functions in the database are written from this table, so that none of
 * them can take another.
 */
export const TRANSITIONS = {
  enqueued: { code: 1, from: [], to: 'ready' },
  delayed: { code: 2, from: [], to: 'scheduled' },
  due: { code: 3, from: ['scheduled'], to: 'ready' },
  claimed: { code: 4, from: ['ready'], to: 'leased' },
  completed: { code: 5, from: ['leased'], to: 'succeeded' },
  retried: { code: 6, from: ['leased'], to: 'scheduled' },
  failed: { code: 7, from: ['leased'], to: 'dead' },
  released: { code: 8, from: ['leased'], to: 'ready' },
  lost: { code: 9, from: ['leased'], to: 'ready' },
  poisoned: { code: 10, from: ['leased'], to: 'dead' },
  cancelled: { code: 11, from: ['scheduled', 'ready', 'leased'], to: 'cancelled' },
  redriven: { code: 12, from: ['dead'], to: 'ready' },
} as const satisfies Record<string, Transition>

/** The name of an edge. */
export type TransitionName = keyof typeof TRANSITIONS

/** The event of a completion that came too late: it moves nothing and has no sequence number. */
export const FENCED_CODE = 20

/** The number of a state, for SQL. */
export function state(name: JobState): string {
  return String(STATES[name])
}

/** The condition that an edge may be taken, over a column. */
export function mayTake(edge: TransitionName, column: string): string {
  const { from } = TRANSITIONS[edge]
  const [only, ...more] = from
  if (only === undefined) throw new Error(`${edge} makes a job: there is nothing to ask`)
  return more.length === 0 ? `${column} = ${state(only)}` : `${column} IN (${from.map(state).join(', ')})`
}

/**
 * The same for rows that are found by their id: a sum hides the condition from the planner, which would else take the small index of
 * that state for better than the primary key, and walk all of it.
 */
export function mayTakeById(edge: TransitionName, column: string): string {
  return mayTake(edge, `${column} + 0`)
}

/** What an edge's event row says: `kind, "from", "to"`. */
export function eventOf(edge: TransitionName, from?: string): string {
  const { code, from: sources, to } = TRANSITIONS[edge]
  const [only] = sources
  return `${code}, ${from ?? (only === undefined ? 'NULL::smallint' : state(only))}, ${state(to)}`
}

/** An SQL expression from a number to a name: of states, priorities or kinds of events. */
export function nameOf(column: string, table: Readonly<Record<string, number>>): string {
  const cases = Object.entries(table).map(([name, code]) => `WHEN ${code} THEN '${name}'`)
  return `CASE ${column} ${cases.join(' ')} END`
}

/** The numbers of all kinds of events. */
export const EVENT_CODES: Readonly<Record<string, number>> = {
  ...Object.fromEntries(Object.entries(TRANSITIONS).map(([name, { code }]) => [name, code])),
  fenced: FENCED_CODE,
}
