import { beforeAll, describe, expect, test } from 'vitest'
import { postgres } from '../engine.ts'
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

const ORDERS = sqlFile('1', 'CREATE TABLE orders (id bigint PRIMARY KEY, note text);')
const LINES = sqlFile('2', 'ALTER TABLE orders ADD COLUMN paid boolean;')
const LATER = sqlFile('10', 'CREATE TABLE later (id int);')

describe('SQL files of a Postgres tenant', () => {
  let shard: Shard
  beforeAll(async () => {
    shard = await freshShard('Schema', { extensions: ['uuid-ossp', 'pg_trgm'] })
  })

  const failureOf = async (wish: TenantWish): Promise<{ code: string; message: string } | undefined> => {
    const changes = await planOf(shard.session, wish)
    const { failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    return failed && { code: failed.error.code, message: failed.error.message }
  }
  const tables = async ({ name }: TenantWish): Promise<readonly string[]> => {
    const rows = await byHand(
      shard.admin,
      `SELECT relname FROM pg_class WHERE relkind = 'r'
      AND relnamespace = '${name}'::regnamespace ORDER BY 1`,
    )
    return rows.map((row) => String(Reflect.get(row, 'relname')))
  }
  const version = async ({ name, scope }: TenantWish): Promise<string | undefined> =>
    postgres.schemaVersion(name, await shard.session.observe(scope, signal))

  test('are applied once each in the order of their versions, as the owner', async () => {
    const wish = shard.tenant('ordered', { files: [LATER, LINES, ORDERS] })
    const plan = await make(shard.session, wish)
    const files = plan.filter(({ target }) => target.kind === 'Migration').map(({ target }) => target.id)
    expect(files).toEqual(['1', '2', '10'].map((v) => `migration/${wish.name}/${v}`))
    expect(await tables(wish)).toEqual(['later', 'orders'])
    expect(await version(wish)).toBe('10')
    expect(await planOf(shard.session, wish)).toEqual([])
    const rows = await byHand(
      shard.admin,
      `SELECT version, seq, event, name, checksum, body, installation, applied_by, ms,
      finished_at >= started_at AS ended FROM tenantry.migration WHERE schema = '${wish.name}' ORDER BY length(version), version`,
    )
    expect(rows).toHaveLength(3)
    expect(rows[0]).toMatchObject({
      ...ORDERS,
      event: 'apply',
      seq: 1,
      installation: 'lab',
      applied_by: 'postgres',
      ended: true,
    })
    const owners = await byHand(
      shard.admin,
      `SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = '${wish.name}'`,
    )
    expect(owners).toEqual([{ tableowner: `${wish.name}_owner` }])
  })

  test('find extensions, and so does the login, while nobody may create in public', async () => {
    const body = `CREATE TABLE docs (id uuid DEFAULT uuid_generate_v4(), body text);
      CREATE INDEX ON docs USING gin (body gin_trgm_ops);`
    const wish = shard.tenant('extended', { files: [sqlFile('1', body)] })
    await make(shard.session, wish)
    const own = asTenant(shard.admin, wish)
    const rows = await byHand(
      own,
      `INSERT INTO docs (body) VALUES ('paid') RETURNING id`,
      'SELECT uuid_generate_v4() AS id',
    )
    expect(rows).toHaveLength(1)
    await expect(byHand(own, 'CREATE TABLE public.mine (a int)')).rejects.toThrow('permission denied for schema public')
    await expect(byHand(own, 'CREATE TABLE mine (a int)')).rejects.toThrow('permission denied')
  })

  test('that fail leave nothing of themselves and say where they failed', async () => {
    const broken = sqlFile(
      '2',
      `CREATE TABLE half (id int);\n\n-- ünïcödé\nCREATE TABLE whole (id int, nope nosuchtype);`,
    )
    const wish = shard.tenant('broken', { files: [ORDERS, broken, LATER] })
    const failed = await failureOf(wish)
    expect(failed?.code).toBe('MigrationFailed')
    expect(failed?.message).toContain('2.pg.sql')
    expect(failed?.message).toContain('type "nosuchtype" does not exist at line 4 (SQLSTATE 42704)')
    expect(await tables(wish)).toEqual(['orders'])
    expect(await version(wish)).toBe('1')
    const corrected = shard.tenant('broken', { files: [ORDERS, LINES, LATER] })
    await make(shard.session, { ...corrected, owner: wish.owner, secrets: wish.secrets }, corrected.wanted)
    expect(await version(wish)).toBe('10')
  })

  test.each([
    ['commits', 'CREATE TABLE half (id int); COMMIT; CREATE TABLE rest (id int);'],
    ['begins', 'BEGIN; CREATE TABLE half (id int); COMMIT;'],
    ['builds an index concurrently', 'CREATE TABLE half (id int); CREATE INDEX CONCURRENTLY ON half (id);'],
    ['vacuums', 'CREATE TABLE half (id int); VACUUM;'],
  ])('may not run outside the transaction: one that %s is refused wholly', async (what, body) => {
    const wish = shard.tenant(`tx-${what.replaceAll(' ', '-')}`, { files: [sqlFile('1', body)] })
    const failed = await failureOf(wish)
    expect(failed?.code).toBe('MigrationFailed')
    expect(failed?.message).toContain('A file runs inside one transaction')
    expect(await tables(wish)).toEqual([])
  })

  test.each([
    ['nothing', ''],
    ['a comment alone', '-- to be done'],
    ['quotes of every kind', `SELECT 'it''s', E'\\n', $$ "dollar" $x$ $$, U&'\\0061' AS "select"; -- ' " $$`],
  ])('may hold %s', async (what, body) => {
    const wish = shard.tenant(`body-${what.replaceAll(' ', '-')}`, { files: [sqlFile('1', body)] })
    await make(shard.session, wish)
    expect(await version(wish)).toBe('1')
  })

  test('leave no setting behind on the connection that the next tenant is made over', async () => {
    const body = `SELECT set_config('search_path', 'nowhere', false); SET statement_timeout = '1ms';
      SET default_transaction_read_only = on; SET standard_conforming_strings = off; DECLARE c CURSOR WITH HOLD FOR SELECT 1;`
    await make(shard.session, shard.tenant('sloppy', { files: [sqlFile('1', body)] }))
    for (const name of ['next-1', 'next-2', 'next-3', 'next-4']) {
      const wish = shard.tenant(name, { files: [ORDERS] })
      await make(shard.session, wish)
      expect(await tables(wish)).toEqual(['orders'])
    }
  })

  test('see nothing of the session of the file before', async () => {
    await make(shard.session, shard.tenant('warm'))
    const first = 'PREPARE said AS SELECT 1; SELECT pg_advisory_lock(4711); LISTEN news;'
    const second = `CREATE TABLE orders (id int);
      DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'said'); END $$;
      DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_listening_channels()); END $$;
      DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_locks WHERE objid = 4711 AND pid = pg_backend_pid()); END $$;`
    const wish = shard.tenant('strict', { files: [sqlFile('1', first), sqlFile('2', second)] })
    await make(shard.session, wish)
    expect(await tables(wish)).toEqual(['orders'])
  })

  test('are kept up to the one that fails, and which that is is told', async () => {
    await make(shard.session, shard.tenant('warm'))
    const wish = shard.tenant('kept', { files: [ORDERS, LINES, sqlFile('3', 'SELECT 1 / 0;'), LATER] })
    const changes = await planOf(shard.session, wish)
    const { done, failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    expect(done.map(({ target }) => target.id).slice(-2)).toEqual([1, 2].map((v) => `migration/${wish.name}/${v}`))
    expect(failed?.change.target.id).toBe(`migration/${wish.name}/3`)
    expect(failed?.error).toMatchObject({ code: 'MigrationFailed', message: expect.stringContaining('3.pg.sql') })
    expect(await version(wish)).toBe('2')
  })

  test('that changed after they were applied block themselves and what comes after, adopted or not', async () => {
    const wish = shard.tenant('changed', { files: [ORDERS, LINES] })
    await make(shard.session, wish)
    const other = sqlFile('2', 'ALTER TABLE orders ADD COLUMN other boolean;')
    const plan = await planOf(
      shard.session,
      wish,
      shard.tenant('changed', { files: [ORDERS, other, LATER], logins: wish.input.logins }).wanted,
    )
    expect(plan.map(({ target, op }) => [op, target.id])).toEqual([
      ['alter', `migration/${wish.name}/2`],
      ['create', `migration/${wish.name}/10`],
    ])
    expect(plan.every(({ blocked }) => blocked?.code === 'MigrationChanged' && !blocked.adoptable)).toBe(true)
    const { failed } = await shard.session.apply(
      { owner: wish.owner, changes: plan.slice(0, 1), secrets: wish.secrets },
      signal,
    )
    expect(failed?.error.code).toBe('MigrationChanged')
    expect(await planOf(shard.session, wish)).toEqual([])
  })

  test('that are gone from the source are left in peace', async () => {
    const wish = shard.tenant('shrunk', { files: [ORDERS, LINES] })
    await make(shard.session, wish)
    const less = shard.tenant('shrunk', { files: [LINES], logins: wish.input.logins })
    expect(await planOf(shard.session, wish, less.wanted)).toEqual([])
  })

  test('are applied again to a schema that was dropped by hand and made anew, and the old history is kept', async () => {
    const wish = shard.tenant('dropped', { files: [ORDERS] })
    await make(shard.session, wish)
    await byHand(shard.admin, `DROP SCHEMA "${wish.name}" CASCADE`)
    await make(shard.session, wish)
    expect(await tables(wish)).toEqual(['orders'])
    const rows = await byHand(
      shard.admin,
      `SELECT seq, event FROM tenantry.migration WHERE schema = '${wish.name}' ORDER BY seq`,
    )
    expect(rows).toEqual([
      { seq: 1, event: 'apply' },
      { seq: 2, event: 'retire' },
      { seq: 3, event: 'apply' },
    ])
  })

  test('are applied once when two sessions apply them at the same time', async () => {
    const wish = shard.tenant('twice', { files: [] })
    await make(shard.session, wish)
    const more = shard.tenant('twice', {
      files: [sqlFile('1', 'CREATE TABLE once (id int); SELECT pg_sleep(0.3);')],
      logins: wish.input.logins,
    })
    const changes = await planOf(shard.session, wish, more.wanted)
    const batch = { owner: wish.owner, changes, secrets: wish.secrets }
    const both = await Promise.all([shard.session.apply(batch, signal), shard.session.apply(batch, signal)])
    expect(both.map(({ failed }) => failed)).toEqual([undefined, undefined])
    expect(await tables(wish)).toEqual(['once'])
  })

  test('that are cut off in the middle leave nothing, and are applied at the next attempt', async () => {
    const wish = shard.tenant('killed', { files: [] })
    await make(shard.session, wish)
    const more = shard.tenant('killed', {
      files: [sqlFile('1', 'CREATE TABLE slow (id int); SELECT pg_sleep(2);')],
      logins: wish.input.logins,
    })
    const changes = await planOf(shard.session, wish, more.wanted)
    const { failed } = await shard.session.apply(
      { owner: wish.owner, changes, secrets: wish.secrets },
      AbortSignal.timeout(500),
    )
    expect(failed?.error.code).toBe('Timeout')
    await make(shard.session, wish, more.wanted)
    expect(await tables(wish)).toEqual(['slow'])
  })
})

describe("SQL files of a tenant's own database", () => {
  const ownDatabase = async (): Promise<{ shard: Shard; wish: TenantWish }> => {
    const shard = await freshShard('Database')
    const wish = shard.tenant('own', { files: [ORDERS, LINES] })
    await make(shard.session, wish)
    return { shard, wish }
  }

  test('are found applied when the copy in the ledger of the shard was lost', async () => {
    const { shard, wish } = await ownDatabase()
    await byHand(
      shard.admin,
      'ALTER TABLE tenantry.migration DISABLE TRIGGER keep',
      `DELETE FROM tenantry.migration WHERE schema = '${wish.name}'`,
      'ALTER TABLE tenantry.migration ENABLE TRIGGER keep',
    )
    const plan = await make(shard.session, wish)
    expect(plan.map(({ target }) => target.kind)).toEqual(['Migration', 'Migration'])
    const whole = await shard.session.observe('all', signal)
    expect(postgres.schemaVersion(wish.name, whole)).toBe('2')
    expect(await planOf(shard.session, wish)).toEqual([])
    await make(shard.session, wish, [])
  })

  test('are applied again, as they are now, to a schema that was dropped inside it', async () => {
    const { shard, wish } = await ownDatabase()
    await byHand({ ...shard.admin, database: wish.name }, `DROP SCHEMA "${wish.name}" CASCADE`)
    const now = shard.tenant('own', { ...wish.input, files: [sqlFile('1', 'CREATE TABLE other (id int);')] })
    await make(shard.session, wish, now.wanted)
    expect(await byHand({ ...shard.admin, database: wish.name }, `SELECT FROM "${wish.name}".other`)).toEqual([])
    expect(await planOf(shard.session, wish, now.wanted)).toEqual([])
    await make(shard.session, wish, [])
  })
})
