import { createHash } from 'node:crypto'
import { CONTROL } from '../names.ts'
import { block, text } from '../sql/quote.ts'
import { CHANGED, insertEvent, isApplied, TABLE } from './ledger.ts'

/** Settings that hold what is to be run, for the transaction that runs it: as a part of a function it would be stored with it. */
const [FILE_SETTING, GUARDS_SETTING] = ['tenantry.file', 'tenantry.guards'] as const

/** Parts of a SELECT before a call: what is to run, and the PL/pgSQL block that goes before it. */
export function given(file: string, guards = ''): readonly string[] {
  const settings =
    guards === ''
      ? [[FILE_SETTING, file]]
      : ([
          [FILE_SETTING, file],
          [GUARDS_SETTING, guards],
        ] as const)
  return settings.map(([setting = '', value = '']) => `set_config(${text(setting)}, ${text(value)}, true)`)
}

/** How the name of each function begins that runs files as the owner of a schema. */
const RUNNER = 'run_'

/** Whether the server's account of where an error was raised leads into a file. */
export function isInFile(context: string): boolean {
  return context.includes(`SQL function "${RUNNER}`)
}

/**
 * What runs with the owner's rights. Whatever a file leaves for the end of the transaction would run as the administrator:
 * deferred triggers are fired, cursors and temporary objects ended, before the function is.
 */
const RUNNER_BODY = block(`EXECUTE coalesce(pg_catalog.current_setting('${GUARDS_SETTING}', true), '');
  EXECUTE pg_catalog.current_setting('${FILE_SETTING}');
  SET CONSTRAINTS ALL IMMEDIATE;
  EXECUTE 'CLOSE ALL';
  DISCARD TEMP;`)

/** The oids of the triggers behind foreign keys, which are the same on every server. They run as the tables' owner in any case. */
const FOREIGN_KEYS = 'BETWEEN 1644 AND 1655'

/**
 * Runs what is given as the owner of the schema. After SET ROLE alone it could RESET ROLE and be the administrator; within a
 * function that has its owner's rights the server refuses that, to everything that is called there too. There is such a function
 * for each schema, of SQL: of one in PL/pgSQL that is made for each file a session would keep the plans for ever. Its owner may
 * alter it, and so it is compared with what it should be before each use; the owner cannot make another in our schema.
 * A deferred trigger may defer itself once more: of what is still to be fired the server tells when the table is altered. In a
 * database of its own, which has the schema's name, the owner may have tables in other schemas.
 * `alone`: nobody but the file has a lock of the session.
 */
const RUN_BODY = `
#variable_conflict use_variable
DECLARE
  runner CONSTANT text := '${RUNNER}' || of;
  made CONSTANT text := 'tenantry_' || md5(random()::text || clock_timestamp());
  x record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = runner::name AND p.pronamespace = '${CONTROL}'::regnamespace
    AND p.pronargs = 0 AND p.prokind = 'f' AND p.prosecdef AND p.provolatile = 'v' AND p.proowner = to_regrole(quote_ident(owner))
    AND p.prosrc = ${text(RUNNER_BODY)} AND p.proconfig = ARRAY[format('search_path=%I, public', of)]) THEN
    EXECUTE format('DROP FUNCTION IF EXISTS ${CONTROL}.%I()', runner);
    EXECUTE format('SET LOCAL ROLE %I', owner);
    EXECUTE format('CREATE FUNCTION %1$I.%2$I() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path TO %1$I, public AS %3$L',
      of, made, ${text(RUNNER_BODY)});
    RESET ROLE;
    EXECUTE format('ALTER FUNCTION %I.%I() SET SCHEMA ${CONTROL}', of, made);
    EXECUTE format('ALTER FUNCTION ${CONTROL}.%I() RENAME TO %I', made, runner);
    FOR x IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS name
      FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      WHERE p.oid = to_regprocedure(format('${CONTROL}.%I()', runner)) AND a.grantee <> p.proowner
    LOOP
      EXECUTE format('REVOKE ALL ON FUNCTION ${CONTROL}.%I() FROM ', runner) || x.name;
    END LOOP;
  END IF;
  EXECUTE format('SELECT ${CONTROL}.%I()', runner);
  RESET SESSION AUTHORIZATION;
  RESET ROLE;
  RESET ALL;
  DEALLOCATE ALL;
  UNLISTEN *;
  DISCARD SEQUENCES;
  IF alone THEN
    PERFORM pg_advisory_unlock_all();
  END IF;
  IF current_user <> session_user OR current_setting('transaction_read_only')::bool OR to_regnamespace(quote_ident(of)) IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'a file may neither change what it runs as and in, nor drop its schema';
  END IF;
  FOR x IN SELECT DISTINCT t.tgrelid::regclass::text AS name FROM pg_trigger t
    WHERE t.tgrelid = ANY (CASE WHEN current_database() = of THEN ARRAY(SELECT tgrelid FROM pg_trigger)
        ELSE ARRAY(SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass
          AND d.refobjid = to_regnamespace(quote_ident(of)) AND d.classid = 'pg_class'::regclass) END)
      AND t.tgdeferrable AND NOT t.tgfoid ${FOREIGN_KEYS}
  LOOP
    EXECUTE 'ALTER TABLE ONLY ' || x.name || ' RESET (fillfactor)';
  END LOOP;
END`

/** Applies the file that is given, or does nothing where the ledger has it. */
const APPLY_BODY = `
#variable_conflict use_variable
DECLARE
  last record;
  file CONSTANT text := current_setting('${FILE_SETTING}');
  begun timestamptz;
BEGIN
  SELECT m.event, m.checksum INTO last FROM ${TABLE} m
    WHERE m.schema = of AND m.version = of_version AND m.event <> 'fail' ORDER BY m.seq DESC LIMIT 1;
  IF last.event IS NULL OR NOT ${isApplied('last.event')} THEN
    begun := clock_timestamp();
    PERFORM ${CONTROL}.run_file(of, owner, true);
    ${record('apply', 'coalesce(of_body, file)', 'begun')};
  ELSIF last.checksum <> of_checksum THEN
    IF NOT repair THEN
      RAISE EXCEPTION USING ERRCODE = '${CHANGED}', MESSAGE = 'another text was applied';
    END IF;
    ${record('repair', 'coalesce(of_body, file)', 'clock_timestamp()')};
  END IF;
END`

function record(event: 'apply' | 'repair', body: string, startedAt: string): string {
  return insertEvent({
    event,
    schema: 'of',
    version: 'of_version',
    name: 'of_name',
    checksum: 'of_checksum',
    body,
    startedAt,
    finishedAt: 'clock_timestamp()',
    installation: 'by_installation',
    run: 'of_run',
    runBy: 'by_whom',
    error: 'NULL',
  })
}

const ROUTINES = [
  { signature: 'run_file(of text, owner text, alone bool)', body: RUN_BODY },
  {
    signature: `apply_file(of text, owner text, of_version text, of_name text, of_checksum text, of_body text,
  by_installation text, of_run text, by_whom text, repair bool)`,
    body: APPLY_BODY,
  },
]

const NAMES = ROUTINES.map(({ signature }) => text(signature.slice(0, signature.indexOf('('))))
const SUMS = ROUTINES.map(({ body }) => text(createHash('md5').update(body).digest('hex')))

/** True where the routines are there as they should be. */
export const ROUTINES_CURRENT = `(SELECT count(*) = ${ROUTINES.length} FROM pg_proc WHERE pronamespace = to_regnamespace('${CONTROL}')
  AND proname IN (${NAMES.join(', ')}) AND md5(prosrc) IN (${SUMS.join(', ')}))`

/** Makes the routines; sessions keep their plans. They have their caller's rights, and nobody but the administrator may call them. */
export const ROUTINE_STATEMENTS: readonly string[] = ROUTINES.flatMap(({ signature, body }) => [
  `CREATE OR REPLACE FUNCTION ${CONTROL}.${signature} RETURNS void LANGUAGE plpgsql AS ${text(body)}`,
  `REVOKE ALL ON FUNCTION ${CONTROL}.${signature} FROM PUBLIC`,
])
