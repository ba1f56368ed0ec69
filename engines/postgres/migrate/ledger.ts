import { lockKey } from '../lock-key.ts'
import { CONTROL } from '../names.ts'
import { block, text } from '../sql/quote.ts'

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

const TABLE = `${CONTROL}.migration`

/** True where the ledger has the form of this version; over no table. */
export const IS_CURRENT = `(to_regclass('${CONTROL}.migration_seq') IS NOT NULL
  AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('${TABLE}') AND tgname = 'keep' AND tgenabled <> 'D'))`

/** True where the ledger is that of the first version, which kept one row for each file and changed it. */
export const IS_FIRST = `EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('${TABLE}') AND attname = 'retired_at'
  AND NOT attisdropped)`

/**
 * The migration ledger: a row for each event, numbered for each file of a schema, never changed and never deleted. Whoever
 * counts on the same last number as another fails on the unique index. Repeatable, and brings an older ledger up to date.
 */
export function ledgerStatements(): readonly string[] {
  return [
    `CREATE SCHEMA IF NOT EXISTS ${CONTROL}`,
    block(`IF ${IS_CURRENT} THEN
  RETURN;
END IF;
PERFORM pg_advisory_xact_lock(${lockKey('make the ledger')});
IF ${IS_FIRST} THEN
  ALTER TABLE ${TABLE} RENAME TO migration_1;
  DROP INDEX IF EXISTS ${CONTROL}.migration_live;
END IF;
${TABLE_STATEMENTS}
IF to_regclass('${CONTROL}.migration_1') IS NOT NULL THEN
  ${TAKE_OVER}
  DROP TABLE ${CONTROL}.migration_1;
END IF;`),
  ]
}

const TABLE_STATEMENTS = `CREATE TABLE IF NOT EXISTS ${TABLE} (
  schema text NOT NULL,
  version text NOT NULL,
  seq int NOT NULL,
  event text NOT NULL CHECK (event IN ('apply', 'fail', 'repair', 'revert', 'retire')),
  name text NOT NULL,
  checksum text NOT NULL,
  body text,
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL,
  ms bigint GENERATED ALWAYS AS ((extract(epoch FROM finished_at - started_at) * 1000)::bigint) STORED,
  applied_by text NOT NULL DEFAULT session_user,
  installation text NOT NULL,
  run text,
  run_by text,
  error text
);
CREATE UNIQUE INDEX IF NOT EXISTS migration_seq ON ${TABLE} (schema, version, seq DESC) INCLUDE (event, checksum);
CREATE OR REPLACE FUNCTION ${CONTROL}.keep() RETURNS trigger LANGUAGE plpgsql SET search_path TO 'pg_catalog' AS ${text(`
BEGIN
  RAISE EXCEPTION '% of the migration ledger: its rows are kept as they are', TG_OP;
END`)};
REVOKE ALL ON FUNCTION ${CONTROL}.keep() FROM PUBLIC;
CREATE OR REPLACE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON ${TABLE} EXECUTE FUNCTION ${CONTROL}.keep();`

/** What was retired came before what was applied later under the same version. */
const TAKE_OVER = `INSERT INTO ${TABLE} (schema, version, seq, event, name, checksum, body, started_at, finished_at, applied_by, installation)
  SELECT o.schema, o.version, 2 * o.nth - CASE e.event WHEN 'apply' THEN 1 ELSE 0 END, e.event, o.name, o.checksum,
    CASE e.event WHEN 'apply' THEN o.body END, CASE e.event WHEN 'apply' THEN o.started_at ELSE o.retired_at END,
    CASE e.event WHEN 'apply' THEN o.finished_at ELSE o.retired_at END, o.applied_by, o.installation
  FROM (SELECT *, row_number() OVER (PARTITION BY schema, version ORDER BY retired_at NULLS LAST, started_at) AS nth
    FROM ${CONTROL}.migration_1) o
  CROSS JOIN (VALUES ('apply'), ('retire')) e (event)
  WHERE e.event = 'apply' OR o.retired_at IS NOT NULL;`

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
