import { AppError } from '@tenantry/crds/errors.ts'
import { codeOf } from '../errors.ts'
import type { Migration } from '../model.ts'
import { name } from '../sql/quote.ts'
import { applying } from './failure.ts'
import { dropIndex, type FoundIndex, findIndex, isThere, leftovers } from './indexes.ts'
import type { Seat } from './seat.ts'
import type { IndexTarget } from './utility.ts'

/** A statement about an index, with what it names. */
interface IndexStatement {
  readonly statement: string
  readonly index: IndexTarget
}

/** How often an index is begun anew that became invalid, as when a deadlock cut it off. */
const TRIES = 3

/**
 * Runs one statement by itself, as the owner of the file's schema. Without a time for locks it waits as long as a statement may
 * take.
 */
export async function asOwner(
  { client, pass }: Seat,
  { spec }: Migration,
  statement: string,
  lockTimeoutMs = 0,
): Promise<void> {
  const role = `SET ROLE ${name(spec.owner)}`
  const path = `SET search_path TO ${name(spec.schema)}, public, pg_temp`
  await client.query([...pass.enter, role, path, `SET lock_timeout = ${lockTimeoutMs}`].join(';\n'))
  try {
    await client.query(statement)
  } finally {
    await client.query('RESET ROLE; RESET ALL')
  }
}

/** Makes an index concurrently where it is not there yet; an invalid one of its name is what an earlier attempt left. */
export async function createIndex(seat: Seat, file: Migration, { statement, index }: IndexStatement): Promise<void> {
  const { schema } = file.spec
  const { name: of } = index
  if (of === undefined) throw refused(file, 'an index that is made concurrently needs a name, to be found again')
  for (let tries = 1; ; tries += 1) {
    const found = await look(seat, schema, of)
    if (isThere(found, index)) return
    if (found?.valid) throw refused(file, `there is another index "${of}"`)
    if (found) await asOwner(seat, file, dropIndex(schema, of))
    if (tries > TRIES) throw refused(file, `index "${of}" became invalid ${TRIES} times`)
    await build(seat, file, { statement, of, isLast: tries === TRIES })
  }
}

/** What is cut off for the sake of others is begun again; what fails otherwise leaves nothing that every write would pay for. */
async function build(
  seat: Seat,
  file: Migration,
  { statement, of, isLast }: { readonly statement: string; readonly of: string; readonly isLast: boolean },
): Promise<void> {
  try {
    await asOwner(seat, file, statement)
  } catch (error) {
    if (codeOf(error) === 'LockTimeout' && !isLast) return
    const found = await look(seat, file.spec.schema, of).catch(() => undefined)
    if (found?.valid === false) await asOwner(seat, file, dropIndex(file.spec.schema, of)).catch(() => undefined)
    throw error
  }
}

async function look({ client }: Seat, schema: string, index: string): Promise<FoundIndex | undefined> {
  return (await client.query<FoundIndex>(findIndex(schema, index))).rows[0]
}

/** Drops an index concurrently where it is still there. */
export async function dropNamedIndex(seat: Seat, file: Migration, { statement, index }: IndexStatement): Promise<void> {
  const isGone = index.name !== undefined && !(await look(seat, file.spec.schema, index.name))
  if (!isGone) await asOwner(seat, file, statement)
}

/** Rebuilds indexes concurrently, after what an earlier attempt left is gone. */
export async function reindex(seat: Seat, file: Migration, statement: string): Promise<void> {
  await dropLeftovers(seat, file)
  try {
    await asOwner(seat, file, statement)
  } catch (error) {
    await dropLeftovers(seat, file).catch(() => undefined)
    throw error
  }
}

async function dropLeftovers(seat: Seat, file: Migration): Promise<void> {
  const { schema } = file.spec
  const { rows } = await seat.client.query<{ name: string }>(leftovers(schema))
  for (const { name: of } of rows) await asOwner(seat, file, dropIndex(schema, of))
}

function refused(file: Migration, reason: string): AppError {
  return new AppError('MigrationFailed', `${applying(file)}: ${reason}. The statements before it were kept`)
}
