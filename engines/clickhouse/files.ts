import { AppError } from '@tenantry/crds/errors.ts'
import { decodeMark } from '../mark.ts'
import type { MigrationFile } from '../model.ts'
import type { Call } from './client.ts'
import { CONTROL } from './control.ts'
import type { FencedLink } from './fence.ts'
import { isMade } from './ownership.ts'
import { literal } from './quote.ts'
import type { Recorder } from './record.ts'
import { splitStatements } from './split.ts'

export interface FileRun {
  readonly database: string
  readonly file: MigrationFile
  /** Run it although the ledger says that it was applied: a table is gone. */
  readonly again: boolean
  readonly installation: string
}

interface LedgerRow {
  readonly uuid: string
  readonly version: string
  readonly checksum: string
  readonly before: readonly string[]
  readonly made: readonly string[]
  readonly dropped: readonly string[]
  readonly done: boolean
}

interface Place {
  readonly uuid: string
  readonly comment: string
  readonly tables: readonly string[]
  /** Runs of all files in all incarnations of the database, in order. */
  readonly runs: readonly LedgerRow[]
}

/**
 * Runs one SQL file with the database as the current one and writes it into the ledger. ClickHouse has no transactions:
 * the intent, with the tables that were there, is written first, so that after a kill the file runs again and still
 * knows which tables it made.
 */
export async function runFile(link: FencedLink, run: FileRun, signal: AbortSignal): Promise<void> {
  const { database, file } = run
  const call: Call = { doing: `apply file ${file.version} to ${database}`, signal, database }
  const pieces = splitStatements(file.body)
  const place = await look(link, run, call)
  const ofAll = place.runs.filter((row) => row.uuid === place.uuid)
  const history = ofAll.filter((row) => row.version === file.version)
  const last = history.findLast((row) => row.done)
  if (last?.checksum === file.checksum && !run.again) return
  const open = history.slice(history.findLastIndex((r) => r.done) + 1)
  const first = ofAll.length === 0 && isMade(decodeMark(place.comment))
  const before = open[0]?.before ?? (first ? [] : place.tables)
  await link.insert(intent(run, place.uuid, before), call)
  await runPieces(link, run, pieces, call)
  await link.insert(outcome(run, place.uuid, { before, last }), call)
}

/**
 * Runs the first file of a database that was made just now. That it was empty is written in its mark, so this needs neither
 * a look nor an intent: a run that was killed is taken up by `runFile`.
 */
export async function runFirstFile(
  link: FencedLink,
  record: Recorder,
  run: FileRun,
  signal: AbortSignal,
): Promise<void> {
  const { database, file } = run
  const call: Call = { doing: `apply file ${file.version} to ${database}`, signal, database }
  await runPieces(link, run, splitStatements(file.body), call)
  await link.conditional((condition) => record({ run, condition }, signal), call)
}

async function runPieces(
  link: FencedLink,
  { database, file }: FileRun,
  pieces: readonly string[],
  call: Call,
): Promise<void> {
  for (const [i, sql] of pieces.entries()) {
    const doing = `apply file ${file.version} ${file.name} to ${database}, statement ${i + 1} of ${pieces.length}`
    await link.run(sql, { ...call, doing }).catch((error: unknown) => {
      throw asMigrationFailed(error)
    })
  }
}

/** A refused statement is the file's fault; a server that is away or full is not. */
function asMigrationFailed(error: unknown): unknown {
  if (!(error instanceof AppError) || error.code !== 'StatementFailed') return error
  return new AppError('MigrationFailed', error.message, error.cause)
}

async function look(link: FencedLink, { database }: FileRun, call: Call): Promise<Place> {
  const place = await link.row<Place>(
    `SELECT toString(uuid) AS uuid, comment,
      (SELECT groupArray(name) FROM system.tables WHERE database = {database:String}) AS tables,
      (SELECT arraySort(run -> run.seq, groupArray(CAST(
        (seq, toString(database_uuid), version, checksum, before, made, dropped, done),
        'Tuple(seq UInt64, uuid String, version String, checksum String, before Array(String), made Array(String),
          dropped Array(String), done Bool)')))
        FROM ${CONTROL}.ledger WHERE database = {database:String}) AS runs
    FROM system.databases WHERE name = {database:String}`,
    { doing: call.doing, signal: call.signal, params: { database } },
  )
  if (place) return place
  await link.ready(call)
  throw new AppError('StatementFailed', `${call.doing}: the database is gone; it is made again on the next attempt`)
}

export const LEDGER_INSERT = `INSERT INTO ${CONTROL}.ledger
  (database, database_uuid, version, name, checksum, body, applied_by, done, before, made, dropped)`

function intent(run: FileRun, uuid: string, before: readonly string[]): string {
  return `${LEDGER_INSERT} SELECT ${about(run, uuid)}, false, ${strings(before)}, [], []`
}

/** The server itself looks which tables there are now, and keeps what an earlier run of the file made and removed. */
function outcome(
  run: FileRun,
  uuid: string,
  { before, last }: { before: readonly string[]; last: LedgerRow | undefined },
): string {
  const made = `arrayFilter(t -> NOT has(before, t) OR has(${strings(last?.made ?? [])}, t), after)`
  const dropped = `arrayConcat(arrayFilter(t -> NOT has(after, t), before), ${strings(last?.dropped ?? [])})`
  return `${LEDGER_INSERT}
    WITH ${strings(before)} AS before,
      (SELECT groupArray(name) FROM system.tables WHERE database = ${literal(run.database)}) AS after
    SELECT ${about(run, uuid)}, true, before, arraySort(${made}), arraySort(arrayDistinct(${dropped}))`
}

function about(run: FileRun, uuid: string): string {
  return [literal(run.database), literal(uuid), factsOf(run)].join(', ')
}

/** The values of the columns from `version` to `applied_by`. */
export function factsOf({ file, installation }: FileRun): string {
  const { version, name, checksum, body } = file
  return [version, name, checksum, body, installation].map(literal).join(', ')
}

function strings(list: readonly string[]): string {
  return `CAST([${list.map(literal).join(', ')}], 'Array(String)')`
}
