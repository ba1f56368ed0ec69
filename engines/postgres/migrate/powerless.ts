import { randomBytes } from 'node:crypto'
import type { Circle } from '../model.ts'
import { block, name, text } from '../sql/quote.ts'

/** What is to run as a schema's owner, who cannot leave that role. */
export interface Powerless {
  readonly circle: Pick<Circle, 'schema' | 'owner' | 'place'>
  /** PL/pgSQL statements. */
  readonly statements: string
  readonly declare?: string
}

/** Holds the text of a file for the transaction that runs it: as part of a function's body it would be stored with it. */
const SETTING = 'tenantry.file'

/** A part of a SELECT before the block that runs the file. */
export function fileGiven(file: string): string {
  return `set_config('${SETTING}', ${text(file)}, true)`
}

/** The text of the file, as an expression. */
export const FILE = `pg_catalog.current_setting('${SETTING}')`

/** Runs the file. */
export const EXECUTE_FILE = `EXECUTE ${FILE};`

/**
 * Statements for a block of ours, which declares `x record`. They run what is given in the transaction at hand as the owner of
 * the schema, with the schema first on the search path. After SET ROLE alone it could RESET ROLE and be the administrator;
 * within a function that has its owner's rights the server refuses that, to everything that is called there too. Whatever was
 * left for the end of the transaction would run as the administrator: deferred triggers are fired, cursors and temporary
 * objects ended, before the function is. All settings, lock_timeout among them, are back at the session's own afterwards.
 *
 * The function is of SQL and holds a DO block: of one in PL/pgSQL a session keeps the plans for ever, and looks through all of
 * them whenever a table is altered.
 */
export function powerless({ circle, statements, declare = '' }: Powerless): string {
  const { schema, owner } = circle
  // Nobody knows the name beforehand, and so nobody can have put another routine in its place.
  const routine = `${name(schema)}.${name(`tenantry_run_${randomBytes(8).toString('hex')}`)}`
  const body = block(
    `${statements}
  SET CONSTRAINTS ALL IMMEDIATE;
  EXECUTE 'CLOSE ALL';
  DISCARD TEMP;`,
    declare,
  )
  return `SET LOCAL ROLE ${name(owner)};
  CREATE FUNCTION ${routine}() RETURNS void LANGUAGE sql SECURITY DEFINER
    SET search_path TO ${name(schema)}, public AS ${text(body)};
  PERFORM ${routine}();
  RESET SESSION AUTHORIZATION;
  RESET ROLE;
  RESET ALL;
  IF current_user <> session_user OR current_setting('transaction_read_only')::bool
    OR to_regnamespace(${text(name(schema))}) IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'a file may neither change what it runs as and in, nor drop its schema';
  END IF;
  DROP FUNCTION IF EXISTS ${routine}();
  ${refuseDeferred(circle)}`
}

/** The same as a statement by itself. */
export function powerlessBlock(work: Powerless): string {
  return block(powerless(work), 'x record;')
}

/** The oids of the triggers behind foreign keys, which are the same on every server. They run as the tables' owner in any case. */
const FOREIGN_KEYS = 'BETWEEN 1644 AND 1655'

/** A deferred trigger may defer itself once more. Of what is still to be fired the server tells when the table is altered. */
function refuseDeferred({ schema, place }: Powerless['circle']): string {
  const here = `t.tgrelid = ANY (ARRAY(SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass
    AND d.refobjid = to_regnamespace(${text(name(schema))}) AND d.classid = 'pg_class'::regclass)) AND`
  return `FOR x IN SELECT DISTINCT t.tgrelid::regclass::text AS name FROM pg_trigger t
    WHERE ${place === undefined ? here : ''} t.tgdeferrable AND NOT t.tgfoid ${FOREIGN_KEYS}
  LOOP
    EXECUTE 'ALTER TABLE ONLY ' || x.name || ' RESET (fillfactor)';
  END LOOP;`
}
