import type { Batch } from '../../model.ts'
import { type Pass, transactionOf } from '../fence.ts'
import { lockKey } from '../lock-key.ts'
import type { Migration, PgResource, Reversal } from '../model.ts'
import { block, text } from '../sql/quote.ts'
import { type Bindable, bind } from './bind.ts'
import { GUARD_VARIABLES, guardStatements } from './guard-statements.ts'
import { type EventKind, type EventRow, insertEvent, isApplied, lastEvent } from './ledger.ts'
import { EXECUTE_FILE, FILE, fileGiven, powerless } from './powerless.ts'
import { repairGrants } from './repair-grants.ts'

/** SQLSTATE of our own: the ledger holds another text of that version. */
export const CHANGED = 'TN002'

/** On whose account a row of the ledger is written. */
export type Account = Pick<Batch<PgResource>, 'owner' | 'run'>

/** What a transaction of ours over a file is made with. */
export interface Frame {
  readonly account: Account
  readonly pass: Pass
  /** Absent: as long as anything of ours waits. */
  readonly lockTimeoutMs?: number
}

/** A file, as far as the ledger names it. */
type Recorded = Pick<Migration['spec'], 'schema' | 'version' | 'name' | 'checksum'>

/** A file with what its placeholders stand for; tables that tenants share belong to no single one. */
export function bindableOf({ spec }: Migration | Reversal): Bindable {
  const { name, body, placeholders } = 'down' in spec ? spec.down : spec
  const tenant = spec.shared ? undefined : spec.tenant
  return {
    name,
    body,
    schema: spec.schema,
    ...(placeholders && { placeholders }),
    ...(tenant !== undefined && { tenant }),
  }
}

/** A file as it is sent to the server. Throws `MigrationFailed` where a placeholder has no value. */
export function sentText(target: Migration | Reversal): string {
  return bind(bindableOf(target))
}

/**
 * A file and its ledger row as one message, or nothing where the ledger has it: a file is applied wholly and once, or not at
 * all.
 */
export function fileTransaction(target: Migration, frame: Frame): string {
  const { spec } = target
  const body = spec.placeholders ? text(spec.body) : 'file'
  const run = runBlock(
    target,
    `IF last.event IS NULL OR NOT ${isApplied('last.event')} THEN
  begun := clock_timestamp();
  ${powerless({ circle: spec, statements: EXECUTE_FILE })}
  ${recordOf('apply', spec, frame.account, { body, startedAt: 'begun' })};
ELSIF last.checksum <> ${text(spec.checksum)} THEN
  ${spec.repair ? `${recordOf('repair', spec, frame.account, { body })};` : RAISE_CHANGED}
END IF;`,
  )
  return whole(target, [run, ...repairGrants(spec, spec.body)], frame)
}

/** What undoes a file and its ledger row as one message, or nothing where the file is not applied. */
export function reversalTransaction(target: Reversal, frame: Frame): string {
  const { spec } = target
  const { down } = spec
  const statements = `${guardStatements(spec.schema, down.guards)}\n${EXECUTE_FILE}`
  const run = runBlock(
    target,
    `IF last.checksum <> ${text(spec.checksum)} AND ${isApplied('last.event')} THEN
  ${RAISE_CHANGED}
ELSIF ${isApplied('last.event')} THEN
  begun := clock_timestamp();
  ${powerless({ circle: spec, statements, declare: GUARD_VARIABLES })}
  ${recordOf('revert', spec, frame.account, { body: text(down.body), startedAt: 'begun' })};
END IF;`,
  )
  return whole(target, [run, ...repairGrants(spec, down.body)], frame)
}

function runBlock(target: Migration | Reversal, statements: string): string {
  const declare = `last record; x record; begun timestamptz; file CONSTANT text := ${FILE};`
  return block(`${lastEvent(target.spec, 'm.event, m.checksum INTO last')};\n${statements}`, declare)
}

const RAISE_CHANGED = `RAISE EXCEPTION USING ERRCODE = '${CHANGED}', MESSAGE = 'another text was applied';`

function whole(target: Migration | Reversal, list: readonly string[], frame: Frame): string {
  const given = [fileGiven(sentText(target))]
  return [schemaTransaction(target.spec.schema, list, frame, given), ...FORGET].join(';\n')
}

/** One transaction at a time for each schema, whoever runs it. `selected` is evaluated first. */
export function schemaTransaction(
  schema: string,
  list: readonly string[],
  { pass, lockTimeoutMs }: Omit<Frame, 'account'>,
  selected: readonly string[] = [],
): string {
  const opening = `SELECT ${[`pg_advisory_xact_lock(${lockKey(schema)})`, ...selected].join(', ')}`
  return transactionOf(pass, [opening, ...list], lockTimeoutMs)
}

/** Writes a row of the ledger. `values` are expressions; where nothing is said of it, nothing ran. */
export function recordOf(
  event: EventKind,
  { schema, version, name, checksum }: Recorded,
  { owner, run }: Account,
  values: Partial<EventRow> = {},
): string {
  return insertEvent({
    event,
    schema: text(schema),
    version: text(version),
    name: text(name),
    checksum: text(checksum),
    body: 'NULL',
    startedAt: 'clock_timestamp()',
    finishedAt: 'clock_timestamp()',
    installation: text(owner.installation),
    run: run ? text(run.id) : 'NULL',
    runBy: run ? text(run.by) : 'NULL',
    error: 'NULL',
    ...values,
  })
}

/**
 * Nothing of a file's session may reach the next user of a pooled connection. It is what DISCARD ALL does, which must be a
 * message by itself; settings, cursors and temporary objects are gone already, and plans are no state.
 */
const FORGET: readonly string[] = [
  'DEALLOCATE ALL',
  'UNLISTEN *',
  'SELECT pg_advisory_unlock_all()',
  'DISCARD SEQUENCES',
]
