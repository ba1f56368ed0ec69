import type { Stamp } from '../fence.ts'
import type { Applied, Batch } from '../model.ts'
import { codeOf, sqlState, toAppError } from './errors.ts'
import { passOf, transactionOf } from './fence.ts'
import type { Lane } from './lanes.ts'
import { FIRST_WAIT_MS } from './migrate/attempts.ts'
import { applying } from './migrate/failure.ts'
import { fileTransaction, sentText } from './migrate/transaction.ts'
import type { Migration, PgResource } from './model.ts'
import type { Server } from './session.ts'

/** A batch whose lanes are all in the shard's database. */
export interface AtOnce {
  readonly server: Server
  readonly batch: Batch<PgResource>
  readonly lanes: readonly Lane[]
  readonly stamp: Stamp | undefined
  readonly signal: AbortSignal
  /** The statements of a lane that is no SQL file. */
  readonly statementsOf: (lane: Lane) => readonly string[]
}

/** Lanes that need nothing of one another but their order: no database is made, none is left, and no file brings row security. */
export function fitsAtOnce(lanes: readonly Lane[]): boolean {
  return lanes.every(({ place, changes: [change] }) => {
    if (place !== undefined || change?.target.kind === 'TenantDatabase') return false
    if (change?.target.kind === 'Reversal') return false
    return change?.target.kind !== 'Migration' || isPlain(change.target)
  })
}

function isPlain({ spec }: Migration): boolean {
  return spec.place === undefined && !spec.shared && !spec.statements
}

/**
 * Sends the transactions of all lanes in one message: the round trips of a tenant's creation cost more than what they ask
 * for. Undefined when the server refused something: then the lanes are to be taken one by one, which costs no more than
 * finding those applied that were committed, and tells which of them it was. Only running out of time is not done twice.
 */
export async function applyAtOnce(work: AtOnce): Promise<Applied<PgResource> | undefined> {
  const { server, batch, lanes, signal } = work
  const [first] = batch.changes
  if (!first) return { done: [] }
  const { statementTimeoutMs, connectTimeoutMs } = server.options
  const message = {
    text: lanes.map((lane) => laneText(work, lane)).join(';\n'),
    query_timeout: statementTimeoutMs * lanes.length + connectTimeoutMs,
  }
  try {
    await server.pooled(`change ${batch.changes.length} things`, signal, (client) => client.query(message))
    return { done: batch.changes }
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined
    if (sqlState(cause) !== undefined) return waitedInVain(work, cause)
    return { done: [], failed: { change: first, error: toAppError(error, first.summary) } }
  }
}

function laneText({ batch, stamp, statementsOf }: AtOnce, lane: Lane): string {
  const file = fileOf(lane)
  const pass = passOf(stamp)
  return file
    ? fileTransaction(file, { account: batch, pass, lockTimeoutMs: FIRST_WAIT_MS })
    : transactionOf(pass, statementsOf(lane))
}

function isIn(file: Migration | undefined, context: string): boolean {
  return file !== undefined && context.includes(`SQL statement "${sentText(file)}"`)
}

function fileOf({ changes }: Lane): Migration | undefined {
  const target = changes[0]?.target
  return target?.kind === 'Migration' ? target : undefined
}

/** A file that ran out of time: the server repeats its text behind the error. */
function waitedInVain({ server, lanes }: AtOnce, cause: unknown): Applied<PgResource> | undefined {
  if (codeOf(cause) !== 'Timeout') return undefined
  const context = String(Reflect.get(Object(cause), 'where') ?? '')
  const guilty = lanes.filter((lane) => isIn(fileOf(lane), context))
  const [lane] = guilty
  const [change] = lane?.changes ?? []
  if (guilty.length !== 1 || !lane || change?.target.kind !== 'Migration') return undefined
  const before = lanes.slice(0, lanes.indexOf(lane))
  const error = toAppError(cause, `${applying(change.target)} on ${server.title}`)
  return { done: before.flatMap(({ changes }) => changes), failed: { change, error } }
}
