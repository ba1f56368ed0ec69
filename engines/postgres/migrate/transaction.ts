import type { Batch } from '../../model.ts'
import { type Pass, transactionOf } from '../fence.ts'
import { lockKey } from '../lock-key.ts'
import type { Migration, PgResource, Reversal } from '../model.ts'
import { CONTROL } from '../names.ts'
import { block, text } from '../sql/quote.ts'
import { type Bindable, bind } from './bind.ts'
import { guardBlock } from './guard-statements.ts'
import { CHANGED, type EventKind, type EventRow, insertEvent, isApplied, lastEvent } from './ledger.ts'
import { powerless } from './powerless.ts'
import { repairGrants } from './repair-grants.ts'
import { given } from './routines.ts'

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
  const { owner, run } = frame.account
  const values = [spec.schema, spec.owner, spec.version, spec.name, spec.checksum]
  const other = [spec.placeholders && spec.body, owner.installation, run?.id, run?.by]
  const list = [...values, ...other].map((value) => (value === undefined ? 'NULL' : text(value)))
  const call = `SELECT ${CONTROL}.apply_file(${list.join(', ')}, ${spec.repair === true})`
  return schemaTransaction(spec.schema, [call, ...repairGrants(spec, spec.body)], frame, given(sentText(target)))
}

/** What undoes a file and its ledger row as one message, or nothing where the file is not applied. */
export function reversalTransaction(target: Reversal, frame: Frame): string {
  const { spec } = target
  const { down } = spec
  const run = block(
    `${lastEvent(spec, 'm.event, m.checksum INTO last')};
IF last.checksum <> ${text(spec.checksum)} AND ${isApplied('last.event')} THEN
  RAISE EXCEPTION USING ERRCODE = '${CHANGED}', MESSAGE = 'another text was applied';
ELSIF ${isApplied('last.event')} THEN
  begun := clock_timestamp();
  PERFORM ${powerless(spec)};
  ${recordOf('revert', spec, frame.account, { body: text(down.body), startedAt: 'begun' })};
END IF;`,
    'last record; begun timestamptz;',
  )
  const guards = guardBlock(spec.schema, down.guards)
  return schemaTransaction(spec.schema, [run, ...repairGrants(spec, down.body)], frame, given(sentText(target), guards))
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
