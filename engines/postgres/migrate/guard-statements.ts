import type { Emptiness } from '../../model.ts'
import { block, name, text } from '../sql/quote.ts'

/** SQLSTATE of our own: a guarded table or column holds data. */
export const HELD = 'TN003'

/**
 * A block, run as the owner of the schema, that keeps everybody from the guarded tables to the end of the transaction
 * and raises when one of them holds something. What does not exist holds nothing. Row security would hide rows from the owner too.
 */
export function guardBlock(schema: string, guards: readonly Emptiness[]): string {
  const tables = Map.groupBy(guards, ({ table }) => table)
  const list = [...tables].map(([table, of]) => guardTable(schema, table, of))
  return block(['SET LOCAL row_security = off;', ...list].join('\n'), 'forced bool; held bool; col record;')
}

function guardTable(schema: string, table: string, guards: readonly Emptiness[]): string {
  const full = `${name(schema)}.${name(table)}`
  return `IF pg_catalog.to_regclass(${text(full)}) IS NOT NULL THEN
    LOCK TABLE ${full} IN ACCESS EXCLUSIVE MODE;
    SELECT relforcerowsecurity INTO forced FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(${text(full)});
    IF forced THEN ALTER TABLE ${full} NO FORCE ROW LEVEL SECURITY; END IF;
    ${guards.map(({ column }) => (column === undefined ? checkTable(full, table) : checkColumn(full, table, column))).join('\n')}
    IF forced THEN ALTER TABLE ${full} FORCE ROW LEVEL SECURITY; END IF;
  END IF;`
}

function checkTable(full: string, table: string): string {
  return `EXECUTE ${text(`SELECT EXISTS (SELECT FROM ${full})`)} INTO held;
    ${raiseIfHeld(`table "${table}" has rows`)}`
}

/** Compared as text, since not every type can be compared; what is computed from other columns is not lost. */
function checkColumn(full: string, table: string, column: string): string {
  const of = name(column)
  const where = `SELECT EXISTS (SELECT FROM ${full} WHERE NOT (${of} IS NULL) AND ${of}::text IS DISTINCT FROM (`
  return `SELECT a.attgenerated AS generated, coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'NULL') AS other INTO col
      FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = pg_catalog.to_regclass(${text(full)}) AND a.attname = ${text(column)} AND NOT a.attisdropped;
    IF col.generated = '' THEN
      EXECUTE ${text(where)} || col.other || ')::text)' INTO held;
      ${raiseIfHeld(`column "${column}" of table "${table}" holds other values than its default`)}
    END IF;`
}

function raiseIfHeld(message: string): string {
  return `IF held THEN RAISE EXCEPTION USING ERRCODE = '${HELD}', MESSAGE = ${text(message)}; END IF;`
}
