import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'
import type { Client, PoolClient } from 'pg'
import type { Work } from './apply.ts'
import { ledgerStatements } from './control.ts'
import { codeOf, sqlState } from './errors.ts'
import { beginning, hold, type Pass, passOf, transactionOf } from './fence.ts'
import { lockKey } from './lock-key.ts'
import type { Migration } from './model.ts'
import { CONTROL } from './names.ts'
import { block, name, text } from './sql/quote.ts'
import { sharedTableStatements } from './sql/rows.ts'

/** Errors that the file itself is to blame for; anything else, such as a lock that was not granted, may pass. No statement of a file is ours to fence. */
const FAULTS: readonly ErrorCode[] = ['Fenced', 'StatementFailed', 'PermissionDenied', 'SecretInvalid', 'Unsupported']

/**
 * Applies one SQL file as its schema's owner, in one transaction with its ledger row: a file is applied wholly and once, or not
 * at all. In a tenant's own database the row is written there; the shard's ledger gets its copy afterwards, and when that is
 * killed in between, the next attempt finds the file applied and only copies the row.
 */
export async function migrate(work: Work, target: Migration): Promise<void> {
  const { server, signal, stamp } = work
  const { place } = target.spec
  const doing = applying(target)
  if (place === undefined) {
    await server.pooled(doing, signal, (client) => runFile(work, client, target, passOf(stamp)))
    return
  }
  await hold(work, doing, async (shard, pass) => {
    const row = await server.single({ database: place }, doing, signal, async (client) => {
      await client.query([...pass.enter, ...ledgerStatements()].join(';\n'))
      return await runFile(work, client, target, pass)
    })
    await record(shard, work, target, row)
  })
}

/** How messages about a file begin. */
export function applying({ spec }: Migration): string {
  return `apply SQL file ${spec.name} to schema "${spec.schema}"`
}

/** When a file ran. */
interface Times {
  readonly startedAt: Date
  readonly finishedAt: Date
}

/** Raised inside our own block: the ledger holds another text of that version. */
const CHANGED = 'TN002'

async function runFile(work: Work, client: Client | PoolClient, target: Migration, pass: Pass): Promise<Times> {
  const { schema, owner, version, checksum } = target.spec
  await client.query([...beginning(pass), `SELECT pg_advisory_xact_lock(${lockKey(schema)})`].join(';\n'))
  const { rows } = await client.query<Times & { checksum: string }>(
    `SELECT checksum, started_at AS "startedAt", finished_at AS "finishedAt" FROM ${CONTROL}.migration
     WHERE schema = $1 AND version = $2 AND retired_at IS NULL`,
    [schema, version],
  )
  if (rows[0]) {
    await client.query('ROLLBACK')
    if (rows[0].checksum === checksum) return rows[0]
    throw changed(target)
  }
  await client.query([`SET LOCAL ROLE ${name(owner)}`, `SET LOCAL search_path TO ${name(schema)}, public`].join(';'))
  const startedAt = new Date()
  try {
    await client.query(runAsBlock(target.spec.body))
  } catch (error) {
    throw await failure(client, target, error)
  }
  if (target.spec.shared) await client.query(sharedTableStatements(target.spec).join(';\n'))
  const times = { startedAt, finishedAt: new Date() }
  await insert(client, work, target, times)
  await client.query([...pass.leave, 'COMMIT', ...FORGET].join(';\n'))
  return times
}

/**
 * The same as one message: the file and its ledger row, or nothing where the ledger has the row. Whatever is refused is told
 * better when it is done step by step.
 */
export function fileTransaction({ spec }: Migration, installation: string, pass: Pass): string {
  const { schema, owner, version, checksum } = spec
  const run = block(
    `SELECT m.checksum INTO applied FROM ${CONTROL}.migration m
  WHERE m.schema = ${text(schema)} AND m.version = ${text(version)} AND m.retired_at IS NULL;
IF applied IS NULL THEN
  SET LOCAL ROLE ${name(owner)};
  SET LOCAL search_path TO ${name(schema)}, public;
  begun := clock_timestamp();
  EXECUTE body;
  ${SETTLE}
  INSERT INTO ${CONTROL}.migration (schema, version, name, checksum, body, started_at, finished_at, installation)
  VALUES (${[schema, version, spec.name, checksum].map(text).join(', ')}, body, begun, clock_timestamp(), ${text(installation)});
ELSIF applied <> ${text(checksum)} THEN
  RAISE EXCEPTION USING ERRCODE = '${CHANGED}', MESSAGE = 'another text was applied';
END IF;`,
    `applied text; begun timestamptz; body CONSTANT text := ${text(spec.body)};`,
  )
  return [transactionOf(pass, [`SELECT pg_advisory_xact_lock(${lockKey(schema)})`, run]), ...FORGET].join(';\n')
}

/**
 * Neither temporary tables nor anything else of the file's session may reach the next user of a pooled connection. It is what
 * DISCARD ALL does, which must be a message by itself; only plans are kept, which are no state.
 */
const FORGET: readonly string[] = [
  'CLOSE ALL',
  'SET SESSION AUTHORIZATION DEFAULT',
  'RESET ALL',
  'DEALLOCATE ALL',
  'UNLISTEN *',
  'SELECT pg_advisory_unlock_all()',
  'DISCARD TEMP',
  'DISCARD SEQUENCES',
]

/** Settings of a file end with its block, so that none of them, such as a short timeout or another role, governs what we do next. */
const SETTLE = `RESET SESSION AUTHORIZATION;
  RESET ROLE;
  RESET ALL;`

/** Within a block the server allows nothing that would end the transaction. */
function runAsBlock(body: string): string {
  return block(`EXECUTE ${text(body)};
  ${SETTLE}`)
}

function insert(client: Client | PoolClient, { batch }: Work, { spec }: Migration, times: Times): Promise<unknown> {
  return client.query(
    `INSERT INTO ${CONTROL}.migration (schema, version, name, checksum, body, started_at, finished_at, installation)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (schema, version) WHERE retired_at IS NULL DO NOTHING`,
    [
      spec.schema,
      spec.version,
      spec.name,
      spec.checksum,
      spec.body,
      times.startedAt,
      times.finishedAt,
      batch.owner.installation,
    ],
  )
}

/** A row of an earlier life of the schema gives way. */
async function record(client: PoolClient, work: Work, target: Migration, times: Times): Promise<void> {
  const { schema, version, checksum } = target.spec
  await client.query(
    `UPDATE ${CONTROL}.migration SET retired_at = now()
     WHERE schema = $1 AND version = $2 AND checksum <> $3 AND retired_at IS NULL`,
    [schema, version, checksum],
  )
  await insert(client, work, target, times)
}

function changed(target: Migration): AppError {
  const { spec } = target
  return new AppError(
    'MigrationChanged',
    `${applying(target)}: another text was applied under version ${spec.version}; ` +
      'restore it, and put the change into a new file with a higher version',
  )
}

/** The server names the place within the file by its character. What the file did is undone before anything else. */
async function failure(client: Client | PoolClient, target: Migration, error: unknown): Promise<unknown> {
  const { spec } = target
  const state = sqlState(error)
  if (state === undefined || !(error instanceof Error)) return error
  await client.query('ROLLBACK').catch(() => undefined)
  if (!FAULTS.includes(codeOf(error))) return error
  const position = Number(Reflect.get(error, 'internalPosition') ?? 0)
  const line =
    position > 0
      ? ` at line ${
          [...spec.body]
            .slice(0, position - 1)
            .join('')
            .split('\n').length
        }`
      : ''
  return new AppError(
    'MigrationFailed',
    `${applying(target)}: ${error.message}${line} (SQLSTATE ${state}). ` +
      `Nothing of the file was kept. ${advice(state)}`,
    error,
  )
}

/** Files run inside one transaction: whatever cannot, is told so by the server in several ways. */
function advice(state: string): string {
  return ['25001', '0A000', '2D000'].includes(state)
    ? 'A file runs inside one transaction: leave out BEGIN and COMMIT, and statements such as CREATE INDEX CONCURRENTLY.'
    : 'Correct it: the file has not been applied yet and may be changed.'
}
