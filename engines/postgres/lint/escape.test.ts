import { describe, expect, test } from 'vitest'
import { lint } from './lint.ts'
import { RULE_IDS, RULES } from './rules.ts'

const ATTEMPTS: readonly (readonly [rule: string, sql: string])[] = [
  ['schema-statement', 'DROP SCHEMA IF EXISTS globex CASCADE'],
  ['schema-statement', 'ALTER SCHEMA acme RENAME TO other'],
  ['set-role', 'SET ROLE postgres'],
  ['set-role', "SET LOCAL role = 'postgres'"],
  ['set-role', 'SET ROLE NONE'],
  ['set-role', "SELECT set_config('ROLE', 'postgres', false)"],
  ['set-role', "INSERT INTO a SELECT pg_catalog.set_config('role', 'x', true)"],
  ['set-role', 'DO $$ BEGIN SET ROLE postgres; END $$'],
  ['set-role', "DO $$ BEGIN PERFORM set_config('role', 'x', true); END $$"],
  ['set-role', "DO $$ DECLARE a text := set_config('role', 'x', true); BEGIN END $$"],
  ['set-role', "DO $$ DECLARE a text; BEGIN a := set_config('role', 'x', true); END $$"],
  ['set-role', "DO $$ BEGIN IF set_config('role', 'x', true) = 'x' THEN NULL; END IF; END $$"],
  ['set-role', "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SET ROLE postgres'"],
  ['set-role', 'CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; END $$'],
  ['set-role', "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SET role = 'postgres' AS 'SELECT 1'"],
  ['set-session-authorization', 'RESET SESSION AUTHORIZATION'],
  ['set-search-path', 'SET search_path TO globex'],
  ['set-search-path', 'SET LOCAL search_path FROM CURRENT'],
  ['set-search-path', 'SET SCHEMA $$globex$$'],
  ['set-search-path', 'RESET search_path'],
  ['reset-session', 'DISCARD ALL'],
  ['set-guard', "SELECT set_config('tenantry.tenant', 'globex', true)"],
  ['set-guard', 'SET row_security = off'],
  ['set-config-computed', "SELECT set_config(setting_name => 'role', new_value => 'x', is_local => true)"],
  ['set-config-computed', "UPDATE pg_settings SET setting = 'postgres' WHERE name = 'role'"],
  ['transaction-statement', 'BEGIN'],
  ['transaction-statement', 'ROLLBACK TO SAVEPOINT a'],
  ['transaction-statement', 'DO $$ BEGIN COMMIT; END $$'],
  ['copy-program', "COPY (SELECT 1) TO PROGRAM 'cat'"],
  ['copy-program', "DO $$ BEGIN COPY a FROM PROGRAM 'id'; END $$"],
  ['copy-file', "COPY a FROM '/etc/passwd'"],
  ['server-function', "SELECT * FROM dblink('host=x', 'SELECT 1') AS t(a int)"],
  ['server-function', "SELECT query_to_xml('SELECT * FROM globex.orders', true, true, '')"],
  ['server-object', "LOAD 'library'"],
  ['dynamic-sql-in-do', "DO $$ BEGIN EXECUTE 'SET ROLE x'; END $$"],
  ['dynamic-sql-in-do', "DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP END LOOP; END $$"],
  ['dynamic-sql-in-do', "DO $$ DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'SELECT 1'; END $$"],
  ['function-language', 'DO LANGUAGE plpython3u $$ pass $$'],
  ['unreadable-body', 'DO $$ BEGIN nonsense; END $$'],
  ['other-schema', 'SELECT * FROM globex.orders'],
  ['other-schema', 'SELECT a FROM b WHERE EXISTS (SELECT 1 FROM globex.orders)'],
  ['other-schema', 'DROP TABLE a, globex.orders'],
  ['other-schema', 'DROP TRIGGER a ON globex.orders'],
  ['other-schema', 'ALTER TABLE a SET SCHEMA globex'],
  ['other-schema', "SELECT nextval('globex.orders_id_seq')"],
  ['other-schema', `SELECT nextval('"globex".orders_id_seq')`],
  ['other-schema', "SELECT 'globex.orders'::regclass"],
  ['other-schema', 'SELECT globex.total(1)'],
  ['other-schema', 'SELECT 1 OPERATOR(globex.+) 1'],
  ['other-schema', 'CREATE FUNCTION globex.f() RETURNS bigint LANGUAGE sql AS $$ SELECT 1 $$'],
  [
    'other-schema',
    'CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM globex.a WHERE b; END $$',
  ],
  ['other-schema', 'CREATE TABLE a (b globex.state, PRIMARY KEY (b))'],
  ['other-schema', 'GRANT SELECT ON ALL TABLES IN SCHEMA globex TO a'],
  ['other-schema', 'SELECT 1 FROM tenantry.migration'],
  ['role-statement', 'ALTER ROLE acme SUPERUSER'],
  ['role-statement', 'GRANT postgres TO acme'],
  ['role-statement', 'ALTER TABLE a OWNER TO globex'],
  ['role-statement', 'DROP OWNED BY globex'],
  ['grant-to-public', 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC'],
  ['weaken-row-security', 'ALTER TABLE a NO FORCE ROW LEVEL SECURITY'],
  ['weaken-row-security', 'DROP POLICY tenantry ON a'],
]

describe('an attempt to leave the tenant is refused', () => {
  test.each(ATTEMPTS)('%s: %s', async (rule, sql) => {
    const { findings } = await lint({ name: 'a.sql', body: `SELECT 1;\n${sql};` })
    const found = findings.filter((finding) => finding.rule === rule)
    expect(found, JSON.stringify(findings)).toMatchObject([{ severity: 'error', category: 'escape', line: 2 }])
  })

  test('neither an ignore for the statement nor one for the file changes that', async () => {
    const body = '-- lint:ignore-file set-role we know\n-- lint:ignore set-role we know\nSET ROLE postgres;'
    const { findings, ignored } = await lint({ name: 'a.sql', body })
    expect(findings.map(({ rule, line }) => [rule, line])).toEqual([
      ['invalid-ignore', 1],
      ['invalid-ignore', 2],
      ['set-role', 3],
    ])
    expect(ignored).toEqual([])
  })

  const escapes = RULE_IDS.filter((id) => RULES[id].category === 'escape')
  test.each(escapes)('no policy weakens %s', async (id) => {
    const code = { code: 'InvalidSpec' }
    await expect(lint({ name: 'a.sql', body: '' }, { [id]: 'off' })).rejects.toMatchObject(code)
    await expect(lint({ name: 'a.sql', body: '' }, { [id]: 'warning' })).rejects.toMatchObject(code)
  })
})

describe('what looks like an attempt and is none is let pass', () => {
  test.each([
    "INSERT INTO notes (body) VALUES ('SET ROLE postgres; DROP SCHEMA globex')",
    '-- SET ROLE postgres\nSELECT 1',
    'SELECT orders.id FROM orders',
    "SELECT nextval('orders_id_seq'::regclass), nextval('public.shared_seq')",
    'CREATE INDEX a ON public.shared USING gin (b public.gin_trgm_ops)',
    "SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'a.b'",
    'CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$ SELECT 1 $$',
    'REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC',
  ])('%s', async (sql) => {
    const { findings } = await lint({ name: 'a.sql', body: sql })
    expect(findings.filter(({ category }) => category === 'escape')).toEqual([])
  })
})
