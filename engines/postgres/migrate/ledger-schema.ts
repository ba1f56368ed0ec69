import { lockKey } from '../lock-key.ts'
import { CONTROL } from '../names.ts'
import { block, text } from '../sql/quote.ts'
import { IS_FIRST, TABLE } from './ledger.ts'
import { ROUTINE_STATEMENTS, ROUTINES_CURRENT } from './routines.ts'

/** True where the ledger has the form of this version; over no table. */
export const IS_CURRENT = `(to_regclass('${CONTROL}.migration_seq') IS NOT NULL
  AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('${TABLE}') AND tgname = 'keep' AND tgenabled <> 'D')
  AND ${ROUTINES_CURRENT})`

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
${ROUTINE_STATEMENTS.join(';\n')};
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
