import { AppError } from '@tenantry/crds/errors.ts'
import type { DownFile, Emptiness } from '../model.ts'
import type { Call } from './client.ts'
import type { FencedLink } from './fence.ts'
import { hasBegun, historyOf, progressOf } from './files.ts'
import { look, REVERTED, strings, UNDOING, write } from './ledger.ts'
import { identifier, qualified } from './quote.ts'
import { type FileRun, runStatements } from './run-statements.ts'

/**
 * Undoes an applied file by its down file, provided that what this drops holds nothing; does nothing where the file is not applied.
 * There is no transaction: that it began is written first, and from then on the file counts as not applied, so that it can be both
 * undone and applied again from anywhere in between. A row that comes between the look and the drop is lost. Throws AppError
 * `MigrationFailed` when a guard holds something, and for a down file that is refused.
 */
export async function revertFile(link: FencedLink, run: FileRun, signal: AbortSignal): Promise<void> {
  const { database, file } = run
  const { down } = file
  const doing = `undo file ${file.version} ${file.name} in ${database}`
  const call: Call = { doing, signal, database }
  if (!down)
    throw new AppError('MigrationFailed', `${doing}: it has no down file; add one, or go forward by a new file`)
  const begun = performance.now()
  const place = await look(link, database, call)
  const { last, open } = historyOf(place, run)
  if (!last || last.checksum === REVERTED) return
  for (const guard of down.guards) await requireEmpty(link, run, guard, call)
  if (last.checksum !== UNDOING) {
    const [made, dropped] = [strings(last.made), strings(last.dropped)]
    await write(link, run, { event: 'undo', text: { ...down, checksum: UNDOING }, made, dropped }, call)
  }
  const before = place.tables
  if (!hasBegun(open, down)) await write(link, run, { event: 'begin', text: down, before }, call)
  await runStatements(link, run, { text: down, doing, before, ...progressOf(open, down) }, signal)
  await write(link, run, { event: 'revert', text: asReverted(down), ms: performance.now() - begun }, call)
}

function asReverted({ body }: DownFile): { checksum: string; body: string } {
  return { checksum: REVERTED, body }
}

/** What is gone already, as after a kill, holds nothing. */
async function requireEmpty(link: FencedLink, { database }: FileRun, guard: Emptiness, call: Call): Promise<void> {
  const { table, column } = guard
  const { doing, signal } = call
  const params = { database, table, column: column ?? '' }
  const [there] = await link.rows(
    `SELECT 1 FROM system.columns WHERE database = {database:String} AND table = {table:String}
      AND ({column:String} = '' OR name = {column:String}) LIMIT 1`,
    { doing, signal, params },
  )
  if (!there) return
  const rows = `SELECT 1 FROM ${qualified(database, table)}${column === undefined ? '' : ` WHERE ${holds(column)}`} LIMIT 1`
  const [held] = await link.rows(rows, { doing, signal })
  if (!held) return
  const what = column === undefined ? `table ${table} has rows` : `column ${column} of table ${table} has values`
  throw new AppError('MigrationFailed', `${doing}: ${what}, which would be lost; go forward by a new file`)
}

/** Another value than the one that its type begins with; where that is NULL, any other. A computed default counts as a value. */
function holds(column: string): string {
  const name = identifier(column)
  return `isNotNull(${name}) AND ifNull(${name} != defaultValueOfArgumentType(${name}), 1)`
}
