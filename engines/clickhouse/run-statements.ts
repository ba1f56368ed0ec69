import { AppError } from '@tenantry/crds/errors.ts'
import type { SqlText } from '../model.ts'
import type { Call } from './client.ts'
import type { FencedLink } from './fence.ts'
import { type Entry, type FileTask, write } from './ledger.ts'
import { keyOf, readMutations, settle, type Wait } from './mutations.ts'
import { type PreparedStatement, prepare } from './prepared.ts'
import { type ReplicaSet, verifyReplicas } from './replicas.ts'

/** A file that is run, and where. */
export interface FileRun extends FileTask {
  /** Run it although the ledger says that it was applied: a table is gone. */
  readonly again: boolean
  /** What `{tenant:String}` stands for; absent in shared tables. */
  readonly tenant?: string | undefined
  readonly replicaSets: readonly ReplicaSet[]
  /** So long a mutation, and then the replicas, are waited for at a time. */
  readonly waitMs: number
}

/** What is run of it: its own text or that of its down file, from which statement on, and the tables that were there before. */
export interface Work {
  readonly text: SqlText
  readonly doing: string
  readonly from: number
  readonly before: readonly string[]
  /** The message of the failure that the ledger ends with: the same one again is no news. */
  readonly lastError?: string | undefined
}

/**
 * Runs the statements of a text with the database as the current one, waits for what they leave to be done in the background, and
 * verifies the outcome on every replica. A failure that is the file's own becomes a row of the ledger and throws AppError
 * `MigrationFailed`.
 */
export async function runStatements(link: FencedLink, run: FileRun, work: Work, signal: AbortSignal): Promise<void> {
  const { database, replicaSets: sets, waitMs } = run
  const call: Call = { doing: work.doing, signal, database }
  try {
    const statements = prepare(work.text, work.doing)
    if (work.from > 0) await endWaiting(link, run, work, { ...call, doing: at(work, work.from - 1, statements) })
    for (const [i, statement] of statements.entries()) {
      if (i < work.from) continue
      const doing = at(work, i, statements)
      await runOne(link, run, { work, statement, number: i + 1 }, { ...call, doing })
    }
    await verifyReplicas(link, { database, sets, waitMs }, call)
  } catch (error) {
    throw await recorded(link, run, work, { error, call })
  }
}

function at({ doing }: Work, i: number, { length }: readonly unknown[]): string {
  return `${doing}, statement ${i + 1} of ${length}`
}

interface Step {
  readonly work: Work
  readonly statement: PreparedStatement
  /** Counted from 1. */
  readonly number: number
}

/** The server is not asked to wait for mutations: they may take longer than a request, and would be begun anew each time. */
const ASYNCHRONOUS = { mutations_sync: '0', lightweight_deletes_sync: '0', alter_sync: '0' } as const

async function runOne(link: FencedLink, run: FileRun, { work, statement, number }: Step, call: Call): Promise<void> {
  const bound = { ...call, ...parametersOf(run, statement, call) }
  if (!statement.mutates) return link.run(statement.text, bound).catch(asMigrationFailed)
  const before = new Set((await readMutations(link, run.database, call)).map(keyOf))
  await link.run(statement.text, { ...bound, settings: ASYNCHRONOUS }).catch(asMigrationFailed)
  await waitFor(link, run, { work, number, before, own: true }, call)
}

type Waiting = Omit<Step, 'statement'> & Pick<Wait, 'before' | 'own'>

/** What an earlier attempt waited for may have come to an end since; the statement is not sent once more. */
function endWaiting(link: FencedLink, run: FileRun, work: Work, call: Call): Promise<void> {
  return waitFor(link, run, { work, number: work.from, before: new Set(), own: false }, call)
}

/** A mutation that takes its time is remembered, so that the next attempt goes on behind it. */
async function waitFor(
  link: FencedLink,
  run: FileRun,
  { work, number, before, own }: Waiting,
  call: Call,
): Promise<void> {
  const { database, waitMs } = run
  if (await settle(link, { database, before, own, waitMs }, call)) return
  await write(link, run, { event: 'wait', text: work.text, before: work.before, statement: number }, call)
  const message = `the server still works on it after ${waitMs} ms; system.mutations says how far it is`
  throw new AppError('Timeout', `${call.doing}: ${message}`)
}

function parametersOf(
  { database, tenant }: FileRun,
  { parameters }: PreparedStatement,
  { doing }: Call,
): Partial<Call> {
  if (parameters.length === 0) return {}
  if (!parameters.includes('tenant')) return { params: { schema: database } }
  if (tenant !== undefined) return { params: { schema: database, tenant } }
  const message = '{tenant:String} has no value here: the tables are shared by all tenants; take it out of the file'
  throw new AppError('MigrationFailed', `${doing}: ${message}`)
}

/** A refused statement is the file's fault; a server that is away or full is not. */
function asMigrationFailed(error: unknown): never {
  if (!(error instanceof AppError) || error.code !== 'StatementFailed') throw error
  throw new AppError('MigrationFailed', error.message, error.cause)
}

interface Failure {
  readonly error: unknown
  readonly call: Call
}

/** The error again. That its row could not be written is no reason to hide it. */
async function recorded(link: FencedLink, run: FileRun, work: Work, { error, call }: Failure): Promise<unknown> {
  if (!(error instanceof AppError) || error.code !== 'MigrationFailed' || error.message === work.lastError) return error
  const entry: Entry = { event: 'fail', text: work.text, before: work.before, error: error.message }
  await write(link, run, entry, call).catch(() => undefined)
  return error
}
