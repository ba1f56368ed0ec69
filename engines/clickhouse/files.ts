import { AppError } from '@tenantry/crds/errors.ts'
import { decodeMark } from '../mark.ts'
import type { SqlText } from '../model.ts'
import type { Call } from './client.ts'
import type { FencedLink } from './fence.ts'
import { isApplied, type LedgerRow, look, type Place, strings, write } from './ledger.ts'
import { isMade } from './ownership.ts'
import type { Recorder } from './record.ts'
import { type FileRun, runStatements } from './run-statements.ts'

/**
 * Runs one SQL file with the database as the current one and writes it into the ledger. ClickHouse has no transactions:
 * the intent, with the tables that were there, is written first, so that after a kill the file runs again and still
 * knows which tables it made. A file under `repair` whose text has changed is recorded with it, and not run. Throws AppError
 * `MigrationFailed` for a file that is refused, by a rule or by the server.
 */
export async function runFile(link: FencedLink, run: FileRun, signal: AbortSignal): Promise<void> {
  const { database, file } = run
  const doing = doingOf(run)
  const call: Call = { doing, signal, database }
  const begun = performance.now()
  const place = await look(link, database, call)
  const { last, open, before } = historyOf(place, run)
  if (last && isApplied(last.checksum)) {
    if (last.checksum !== file.checksum) return repair(link, run, last, call)
    if (!run.again) return
  }
  if (!hasBegun(open, file)) await write(link, run, { event: 'begin', text: file, before }, call)
  await runStatements(link, run, { text: file, doing, before, ...progressOf(open, file) }, signal)
  const made = `arraySort(arrayFilter(t -> NOT has(before, t) OR has(${strings(last?.made ?? [])}, t), after))`
  const gone = `arrayConcat(arrayFilter(t -> NOT has(after, t), before), ${strings(last?.dropped ?? [])})`
  const dropped = `arraySort(arrayDistinct(${gone}))`
  const ms = performance.now() - begun
  await write(link, run, { event: 'apply', text: file, before, made, dropped, ms }, call)
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
  const doing = doingOf(run)
  const begun = performance.now()
  await runStatements(link, run, { text: run.file, doing, from: 0, before: [] }, signal)
  const ms = performance.now() - begun
  await link.conditional((condition) => record({ run, condition, ms }, signal), { doing, signal })
}

function doingOf({ database, file }: FileRun): string {
  return `apply file ${file.version} ${file.name} to ${database}`
}

/** What the ledger says of a file in the database as it is now. */
export interface FileHistory {
  /** The last row that is done. */
  readonly last: LedgerRow | undefined
  /** The rows after it: an attempt that has not come to its end. */
  readonly open: readonly LedgerRow[]
  /** The tables that were there before the file was first begun. */
  readonly before: readonly string[]
}

/** Picks a file's rows from those of its database. */
export function historyOf(place: Place, { file }: FileRun): FileHistory {
  const ofAll = place.runs.filter((row) => row.uuid === place.uuid)
  const history = ofAll.filter((row) => row.version === file.version)
  const open = history.slice(history.findLastIndex((row) => row.done) + 1)
  const first = ofAll.length === 0 && isMade(decodeMark(place.comment))
  return { last: history.findLast((row) => row.done), open, before: open[0]?.before ?? (first ? [] : place.tables) }
}

/** Whether an open attempt is at the same text: it needs no second intent. */
export function hasBegun(open: readonly LedgerRow[], { checksum }: SqlText): boolean {
  return open.some((row) => row.event === 'begin' && row.checksum === checksum)
}

/** How far an open attempt got, and what stopped it. */
export function progressOf(open: readonly LedgerRow[], { checksum }: SqlText): { from: number; lastError?: string } {
  const row = open.at(-1)
  if (row?.checksum !== checksum) return { from: 0 }
  return { from: row.event === 'wait' ? row.statement : 0, ...(row.event === 'fail' && { lastError: row.error }) }
}

async function repair(link: FencedLink, run: FileRun, last: LedgerRow, call: Call): Promise<void> {
  const { file, database } = run
  if (!file.repair) {
    const what = `${call.doing}: it was changed after it was applied to ${database}`
    throw new AppError('MigrationChanged', `${what}; restore it, and put the change into a new file`)
  }
  const [made, dropped] = [strings(last.made), strings(last.dropped)]
  await write(link, run, { event: 'repair', text: file, made, dropped }, call)
}
