import { AppError } from '@tenantry/crds/errors.ts'
import type { MigrationFile, Run, SqlText } from '../model.ts'
import type { Call, Link } from './client.ts'
import { CONTROL } from './control.ts'
import type { FencedLink } from './fence.ts'
import { literal } from './quote.ts'

/**
 * What happened to a file. `begin`: its statements are about to run. `wait`: the first `statement` of them ran, and the server still
 * works on the last. `fail`: one was refused. `apply`, `repair` (its text was recorded, not run), `undo` (its down file is about
 * to run) and `revert` (that has run) are `done`: the last of these says how things stand.
 */
export type LedgerEvent = 'begin' | 'wait' | 'fail' | 'apply' | 'repair' | 'undo' | 'revert'

/** In the place of the checksum of what is applied: nothing is, or a down file began to run and may be halfway. */
export const REVERTED = ''
export const UNDOING = 'undoing'

/** Whether a checksum in the ledger is that of a text that is applied. */
export function isApplied(checksum: string): boolean {
  return checksum !== REVERTED && checksum !== UNDOING
}

/** A file that is run in a database, and on whose account. */
export interface FileTask {
  readonly database: string
  readonly file: MigrationFile
  readonly installation: string
  readonly by?: Run | undefined
}

/** A row of the ledger as a run of a file looks at it. */
export interface LedgerRow {
  readonly uuid: string
  readonly event: LedgerEvent
  readonly version: string
  readonly checksum: string
  readonly before: readonly string[]
  readonly made: readonly string[]
  readonly dropped: readonly string[]
  readonly done: boolean
  readonly statement: number
  readonly error: string
}

/** A database as it is, and what is known of its files. */
export interface Place {
  readonly uuid: string
  readonly comment: string
  readonly tables: readonly string[]
  /** Runs of all files in all incarnations of the database, in order. */
  readonly runs: readonly LedgerRow[]
}

/** Looks at a database and its ledger in one query. Throws `StatementFailed` when it is gone. */
export async function look(link: FencedLink, database: string, call: Call): Promise<Place> {
  const place = await link.row<Place>(
    `SELECT toString(uuid) AS uuid, comment,
      (SELECT groupArray(name) FROM system.tables WHERE database = {database:String}) AS tables,
      (SELECT arraySort(run -> run.seq, groupArray(CAST(
        (seq, toString(database_uuid), event, version, checksum, before, made, dropped, done, statement, error),
        'Tuple(seq UInt64, uuid String, event String, version String, checksum String, before Array(String),
          made Array(String), dropped Array(String), done Bool, statement UInt32, error String)')))
        FROM ${CONTROL}.ledger WHERE database = {database:String}) AS runs
    FROM system.databases WHERE name = {database:String}`,
    { doing: call.doing, signal: call.signal, params: { database } },
  )
  if (place) return place
  await link.ready(call)
  throw new AppError('StatementFailed', `${call.doing}: the database is gone; it is made again on the next attempt`)
}

/** A row to write. `made` and `dropped` are expressions, in which `before` and `after` are the tables then and now. */
export interface Entry {
  readonly event: LedgerEvent
  readonly text: Pick<SqlText, 'checksum' | 'body'>
  readonly before?: readonly string[]
  readonly made?: string
  readonly dropped?: string
  readonly statement?: number
  readonly error?: string
  readonly ms?: number
}

const DONE: readonly LedgerEvent[] = ['apply', 'repair', 'undo', 'revert']

export const LEDGER_INSERT = `INSERT INTO ${CONTROL}.ledger
  (database, database_uuid, version, name, checksum, body, applied_by, run, run_by, event, done, statement, error, ms,
    before, made, dropped)`

/** Writes a row; the server itself looks which tables there are now, and which incarnation of the database it is. */
export async function write(link: FencedLink, task: FileTask, entry: Entry, call: Call): Promise<void> {
  const { event, before = [], made = '[]', dropped = '[]', statement = 0, error = '', ms = 0 } = entry
  const name = literal(task.database)
  const state = [literal(event), DONE.includes(event), statement, literal(error), Math.round(ms)].join(', ')
  const sql = `${LEDGER_INSERT}
    WITH ${strings(before)} AS before,
      (SELECT groupArray(name) FROM system.tables WHERE database = ${name}) AS after
    SELECT ${name}, assumeNotNull((SELECT uuid FROM system.databases WHERE name = ${name})),
      ${factsOf(task, entry.text)}, ${state}, before, ${made}, ${dropped}`
  await link.insert(sql, call)
}

/** The values of the columns from `version` to `run_by`. */
export function factsOf({ file, installation, by }: FileTask, { checksum, body }: Entry['text'] = file): string {
  const { version, name } = file
  return [version, name, checksum, body, installation, by?.id ?? '', by?.by ?? ''].map(literal).join(', ')
}

/** A list of strings as an expression. */
export function strings(list: readonly string[]): string {
  return `CAST([${list.map(literal).join(', ')}], 'Array(String)')`
}

/** A row of the ledger for the audit. `seq` orders rows as they were written, by the clock of the server, in nanoseconds. */
export interface HistoryRow extends Omit<LedgerRow, 'before'> {
  readonly seq: string
  readonly database: string
  readonly name: string
  readonly body: string
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string
  readonly installation: string
  readonly run: string
  readonly runBy: string
  readonly ms: number
}

/** So many rows are told at a time. */
export const HISTORY_PAGE = 500

/**
 * The oldest rows of the ledger of all databases whose `seq` is greater than the given one, which is a whole number as text. Clocks
 * are set back, and rows come late: ask from some time before the last row that is known, and tell rows apart by all of
 * `database`, `uuid`, `version` and `seq`. [] when there is no more, and when nothing was ever applied.
 */
export function readHistory(link: Link, since: string, call: Call): Promise<readonly HistoryRow[]> {
  return link.rows<HistoryRow>(
    `SELECT toString(seq) AS seq, database, toString(database_uuid) AS uuid, version, name, event, checksum, body, made, dropped, done,
      statement, error, concat(replaceOne(toString(at), ' ', 'T'), 'Z') AS at, applied_by AS installation, run, run_by AS runBy,
      toUInt32(least(ms, 4294967295)) AS ms
    FROM ${CONTROL}.ledger WHERE ledger.seq > {since:UInt64} ORDER BY ledger.seq LIMIT ${HISTORY_PAGE}`,
    { ...call, params: { since } },
  )
}
