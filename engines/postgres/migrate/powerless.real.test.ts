import { beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix } from '../../../test/support/stack.ts'
import {
  asTenant,
  byHand,
  freshShard,
  make,
  planOf,
  type Shard,
  signal,
  sqlFile,
  type TenantWish,
} from '../testing/lab.ts'

/** Notes who runs it, if it gets as far: in a table that only the administrator may write to. */
const SPY = `CREATE FUNCTION spy() RETURNS int LANGUAGE plpgsql VOLATILE AS $$
  BEGIN
    BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN INSERT INTO public.spied VALUES (current_user); EXCEPTION WHEN OTHERS THEN NULL; END;
    RETURN 1;
  END $$;`

const SPY_TRIGGER = `${SPY}
  CREATE FUNCTION spy_later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM spy(); RETURN NULL; END $$;
  CREATE TABLE bait (n int);
  CREATE CONSTRAINT TRIGGER later AFTER INSERT ON bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spy_later();`

/** What is tried as the file's statements; refused with the given words. */
const REFUSED: readonly (readonly [string, string, string])[] = [
  ['RESET ROLE', 'RESET ROLE', 'cannot set parameter "role" within security-definer function'],
  ['SET ROLE', 'SET ROLE postgres', 'cannot set parameter "role"'],
  ['SET LOCAL ROLE NONE', 'SET LOCAL ROLE NONE', 'cannot set parameter "role"'],
  ['SET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION postgres', 'cannot set parameter "session_authorization"'],
  ['RESET SESSION AUTHORIZATION', 'RESET SESSION AUTHORIZATION', 'cannot set parameter "session_authorization"'],
  ['set_config', `SELECT set_config('role', 'postgres', false)`, 'cannot set parameter "role"'],
  ['a DO block', 'DO $$ BEGIN RESET ROLE; END $$', 'cannot set parameter "role"'],
  [
    'a DO block in a DO block',
    `DO $a$ BEGIN EXECUTE 'DO $b$ BEGIN EXECUTE ''RESET ROLE''; END $b$'; END $a$`,
    'cannot set parameter "role"',
  ],
  [
    'a function of its own',
    'CREATE FUNCTION up() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; END $$; SELECT up()',
    'cannot set parameter "role"',
  ],
  [
    'a function with a setting of its own',
    'CREATE FUNCTION up() RETURNS int LANGUAGE sql SET role = postgres AS $$ SELECT 1 $$; SELECT up()',
    'cannot set parameter "role"',
  ],
  [
    'a procedure',
    'CREATE PROCEDURE up() LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; END $$; CALL up()',
    'cannot set parameter "role"',
  ],
  [
    'a trigger',
    `CREATE FUNCTION up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; RETURN NEW; END $$;
     CREATE TABLE t (n int); CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION up(); INSERT INTO t VALUES (1)`,
    'cannot set parameter "role"',
  ],
  ['COPY to a program', `COPY (SELECT 1) TO PROGRAM 'true'`, 'permission denied to COPY'],
  ['a file of the server', `COPY (SELECT 1) TO '/tmp/escaped'`, 'permission denied to COPY'],
  ['ALTER SYSTEM', `ALTER SYSTEM SET work_mem = '1MB'`, 'cannot run inside a transaction block'],
  ['ALTER ROLE', 'ALTER ROLE CURRENT_USER SUPERUSER', 'permission denied'],
  ['the ledger', 'DELETE FROM tenantry.migration', 'permission denied for'],
  ['a read-only transaction', 'SET TRANSACTION READ ONLY', 'neither change what it runs as and in'],
  [
    'to drop its own schema',
    `DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$`,
    'nor drop its schema',
  ],
  [
    'a deferred trigger that defers itself once more',
    `CREATE TABLE bait (n int);
     CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF NEW.n < 3 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO bait VALUES (NEW.n + 1); END IF; RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER again AFTER INSERT ON bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION again();
     INSERT INTO bait VALUES (1)`,
    'because it has pending trigger events',
  ],
]

/** Goes through, and yet nothing of it runs as the administrator. */
const HARMLESS: readonly (readonly [string, string])[] = [
  ['an exception that is swallowed', 'DO $$ BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END $$'],
  ['RESET ALL', 'RESET ALL'],
  ['DISCARD TEMP', 'DISCARD TEMP; DISCARD PLANS; DISCARD SEQUENCES'],
  ['session characteristics', 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'],
  ['a deferred trigger', `${SPY_TRIGGER} INSERT INTO bait VALUES (1)`],
  ['a cursor with hold', `${SPY} DECLARE c CURSOR WITH HOLD FOR SELECT spy()`],
  [
    'a deferred exclusion constraint',
    `${SPY} CREATE FUNCTION same(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM spy(); RETURN $1; END $$;
     CREATE TABLE t (n int, EXCLUDE USING btree (same(n) WITH =) DEFERRABLE INITIALLY DEFERRED); INSERT INTO t VALUES (1), (2)`,
  ],
  [
    'operators and functions of the names of ours',
    `${SPY} CREATE FUNCTION same(name, name) RETURNS bool LANGUAGE sql AS $$ SELECT spy() = 1 $$;
     CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = same);
     CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT spy(); SELECT now() $$;
     CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT spy()::text $$;
     CREATE VIEW pg_trigger AS SELECT spy(); CREATE VIEW pg_class AS SELECT spy() AS oid;
     SELECT set_config('search_path', current_schema() || ', pg_catalog', false)`,
  ],
]

describe.each(['Schema', 'Database'] as const)('a SQL file of isolation %s', (isolation) => {
  let shard: Shard
  beforeAll(async () => {
    shard = await freshShard(isolation)
    await byHand(shard.admin, 'CREATE TABLE public.spied (who text)')
  })

  const applyFile = async (body: string): Promise<{ wish: TenantWish; message: string | undefined }> => {
    const wish = shard.tenant(`t-${freshSuffix()}`)
    await make(shard.session, wish)
    if (isolation === 'Database') {
      await byHand({ ...shard.admin, database: wish.name }, 'CREATE TABLE public.spied (who text)')
    }
    const { wanted } = shard.tenant('', {
      ...wish.input,
      files: [sqlFile('1', body), sqlFile('2', 'CREATE TABLE next (id int)')],
    })
    const changes = await planOf(shard.session, wish, wanted)
    const { failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    return { wish, message: failed?.error.message }
  }
  const spied = ({ name }: TenantWish): Promise<readonly object[]> =>
    byHand(isolation === 'Database' ? { ...shard.admin, database: name } : shard.admin, 'SELECT * FROM public.spied')

  test.each(REFUSED)('is refused %s', async (_, body, message) => {
    const { wish, message: told } = await applyFile(body)
    expect(told).toContain(message)
    expect(await spied(wish)).toEqual([])
    await make(shard.session, wish, [])
  })

  test.each(HARMLESS)('gains nothing by %s', async (_, body) => {
    const { wish, message } = await applyFile(body)
    expect(message).toBeUndefined()
    expect(await spied(wish)).toEqual([])
    const plan = await make(shard.session, wish)
    expect(plan.filter(({ target }) => target.kind === 'Role')).toEqual([])
    await make(shard.session, wish, [])
  })

  test('gains nothing by altering what runs the file after it', async () => {
    const alter = `DO $$ BEGIN EXECUTE format('ALTER FUNCTION tenantry.%I() SECURITY INVOKER', 'run_' || current_schema()); END $$`
    const { wish, message } = await applyFile(alter)
    // The owner of a database of its own may not even look into our schema.
    expect(message).toEqual(
      isolation === 'Schema' ? undefined : expect.stringContaining('permission denied for schema'),
    )
    const again = shard.tenant('', { ...wish.input, files: [sqlFile('3', 'RESET ROLE')] })
    const changes = await planOf(shard.session, wish, again.wanted)
    const { failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    expect(failed?.error.message).toContain('cannot set parameter "role" within security-definer function')
    await make(shard.session, wish, [])
  })

  test('cannot touch the schema of another tenant', async () => {
    const other = shard.tenant(`o-${freshSuffix()}`, { files: [sqlFile('1', 'CREATE TABLE theirs (id int)')] })
    await make(shard.session, other)
    const { wish, message } = await applyFile(`DROP SCHEMA "${other.name}" CASCADE`)
    expect(message).toContain(isolation === 'Schema' ? 'must be owner of schema' : 'does not exist')
    expect(await byHand(asTenant(shard.admin, other), 'SELECT FROM theirs')).toEqual([])
    await make(shard.session, wish, [])
    await make(shard.session, other, [])
  })
})
