import { CONTROL } from '../names.ts'
import { text } from '../sql/quote.ts'

/**
 * What the ledger records of a SQL file in a schema: that it was applied, that an attempt failed, that its changed text was
 * accepted, that it was undone, and that the schema went with all that was applied to it.
 */
export type EventKind = 'apply' | 'fail' | 'repair' | 'revert' | 'retire'

/** One row of the ledger, each field as an SQL expression. */
export interface EventRow {
  readonly event: EventKind
  readonly schema: string
  readonly version: string
  readonly name: string
  readonly checksum: string
  readonly body: string
  readonly startedAt: string
  readonly finishedAt: string
  readonly installation: string
  readonly run: string
  readonly runBy: string
  readonly error: string
}

/** SQLSTATE of our own: the ledger holds another text of a version. */
export const CHANGED = 'TN002'

export const TABLE = `${CONTROL}.migration`

/** True where the ledger is that of the first version, which kept one row for each file and changed it. */
export const IS_FIRST = `EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('${TABLE}') AND attname = 'retired_at'
  AND NOT attisdropped)`

/** Writes one row, with the next number of its file. */
export function insertEvent(row: EventRow): string {
  return `INSERT INTO ${TABLE} (schema, version, seq, event, name, checksum, body, started_at, finished_at, installation,
  run, run_by, error)
SELECT ${row.schema}, ${row.version}, ${nextSeq(row.schema, row.version)}, '${row.event}', ${row.name}, ${row.checksum},
  ${row.body}, ${row.startedAt}, ${row.finishedAt}, ${row.installation}, ${row.run}, ${row.runBy}, ${row.error}`
}

/** The writing of a row, left out where the condition holds for `l`, the row of `last`. */
export function unlessLast(row: string, last: string, condition: string): string {
  return `${row} WHERE NOT EXISTS (SELECT FROM (${last}) l WHERE ${condition})`
}

function nextSeq(schema: string, version: string): string {
  return `coalesce((SELECT max(n.seq) FROM ${TABLE} n WHERE n.schema = ${schema} AND n.version = ${version}), 0) + 1`
}

/** The last event of a schema's file, failures aside or not: one row or none, with the given columns of `m`. */
export function lastEvent(
  { schema, version }: { readonly schema: string; readonly version: string },
  columns: string,
  which: 'effective' | 'any' = 'effective',
): string {
  return `SELECT ${columns} FROM ${TABLE} m WHERE m.schema = ${text(schema)} AND m.version = ${text(version)}
  ${which === 'any' ? '' : "AND m.event <> 'fail'"} ORDER BY m.seq DESC LIMIT 1`
}

/** True for an event after which the file is applied. `event` is an SQL expression. */
export function isApplied(event: string): string {
  return `${event} IN ('apply', 'repair')`
}

/** Every applied file as (schema, version, checksum), by the index alone. `condition` is over (schema, version). */
export function appliedQuery(condition: string): string {
  return `SELECT schema, version, checksum FROM (SELECT DISTINCT ON (schema, version) schema, version, event, checksum
    FROM ${TABLE} WHERE event <> 'fail' AND ${condition} ORDER BY schema, version, seq DESC) l WHERE ${isApplied('event')}`
}

/** The same in a ledger of the first version, which is read until the shard is brought up to date. */
export function firstAppliedQuery(condition: string): string {
  return `SELECT schema, version, checksum FROM ${TABLE} WHERE retired_at IS NULL AND ${condition}`
}

/** Within a block. The ledger is where the schema is; a tenant's own database has none before its first file. */
export function retire(schema: string): string {
  const here = text(schema)
  return `IF ${IS_FIRST} THEN
    UPDATE ${TABLE} SET retired_at = now() WHERE schema = ${here} AND retired_at IS NULL;
  ELSIF to_regclass('${TABLE}') IS NOT NULL THEN
    INSERT INTO ${TABLE} (schema, version, seq, event, name, checksum, started_at, finished_at, installation)
    SELECT l.schema, l.version, ${nextSeq('l.schema', 'l.version')}, 'retire', l.name, l.checksum, now(), now(), l.installation
    FROM (SELECT DISTINCT ON (version) * FROM ${TABLE} WHERE schema = ${here} AND event <> 'fail'
      ORDER BY version, seq DESC) l
    WHERE ${isApplied('l.event')};
  END IF;`
}
