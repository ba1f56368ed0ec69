import { lockKey } from '../lock-key.ts'
import type { Migration } from '../model.ts'
import { text } from '../sql/quote.ts'
import { attempt } from './attempts.ts'
import { bind } from './bind.ts'
import { applying, failureOutside } from './failure.ts'
import { isApplied, lastEvent, unlessLast } from './ledger.ts'
import { asOwner, createIndex, dropNamedIndex, reindex } from './outside-indexes.ts'
import { powerless } from './powerless.ts'
import { repairGrants } from './repair-grants.ts'
import { given } from './routines.ts'
import { attemptsOf, type Seat } from './seat.ts'
import { bindableOf, recordOf, schemaTransaction } from './transaction.ts'
import { wayOf } from './utility.ts'

/**
 * Runs the statements of a file one by one, outside a transaction, and writes its ledger row at last: a file that was cut off is
 * run again from its beginning. The connection ends with the file, and with it the lock on the schema and all that was set.
 * False where the ledger has the file already: then nothing is done.
 */
export async function runOutside(seat: Seat, file: Migration): Promise<boolean> {
  const { spec } = file
  const { client, shard, work, pass } = seat
  await attempt(attemptsOf(seat, spec.schema, applying(file)), async (lockTimeoutMs) => {
    await client.query(`SET lock_timeout = ${lockTimeoutMs}; SELECT pg_advisory_lock(${lockKey(spec.schema)})`)
  })
  const startedAt = new Date()
  const isDone = `SELECT FROM (${lastEvent(spec, 'm.event')}) l WHERE ${isApplied('l.event')}`
  if ((await client.query(isDone)).rowCount !== 0) return false
  const statements = spec.statements ?? []
  for (const [i, { start, end }] of statements.entries()) {
    work.signal.throwIfAborted()
    // The connection that keeps the fence must not be silent for as long as the file takes.
    await shard.query('SELECT')
    try {
      await runStatement(seat, file, textOf(file, start, end))
    } catch (error) {
      throw failureOutside(file, { number: i + 1, of: statements.length, start }, error)
    }
  }
  const row = recordOf('apply', spec, work.batch, { body: text(spec.body), startedAt: text(startedAt.toISOString()) })
  const record = unlessLast(row, lastEvent(spec, 'm.event'), isApplied('l.event'))
  await client.query(schemaTransaction(spec.schema, [record, ...repairGrants(spec, spec.body)], { pass }))
  return true
}

/** A range of a file's characters, with the values of its placeholders. */
export function textOf(file: Migration, start: number, end: number): string {
  const whole = bindableOf(file)
  const placeholders = (whole.placeholders ?? [])
    .filter((placeholder) => placeholder.start >= start && placeholder.end <= end)
    .map((placeholder) => ({ ...placeholder, start: placeholder.start - start, end: placeholder.end - start }))
  return bind({ ...whole, body: whole.body.slice(start, end), placeholders })
}

async function runStatement(seat: Seat, file: Migration, statement: string): Promise<void> {
  const { schema } = file.spec
  const way = await wayOf(statement)
  if (way.kind === 'create-index') return await createIndex(seat, file, { statement, index: way.index })
  if (way.kind === 'drop-index') return await dropNamedIndex(seat, file, { statement, index: way.index })
  if (way.kind === 'reindex') return await reindex(seat, file, statement)
  if (way.kind === 'direct' && way.patient) return await asOwner(seat, file, statement)
  await attempt(attemptsOf(seat, schema, applying(file)), async (lockTimeoutMs) => {
    if (way.kind === 'direct') await asOwner(seat, file, statement, lockTimeoutMs)
    else await seat.client.query(wrapped(seat, file, { statement, lockTimeoutMs }))
  })
}

function wrapped(
  { pass }: Seat,
  { spec }: Migration,
  { statement, lockTimeoutMs }: { readonly statement: string; readonly lockTimeoutMs: number },
): string {
  const list = [`SELECT ${powerless(spec, false)}`, ...repairGrants(spec, statement)]
  return schemaTransaction(spec.schema, list, { pass, lockTimeoutMs }, given(statement))
}
