import { beforeAll, describe, expect, test } from 'vitest'
import type { Isolation, MigrationFile } from '../../model.ts'
import { postgres } from '../engine.ts'
import {
  byHand,
  freshShard,
  make,
  OPTIONS,
  planOf,
  type Shard,
  signal,
  sqlFile,
  type TenantWish,
} from '../testing/lab.ts'
import { placeholdersOf } from './placeholders.ts'
import { statementSpans } from './utility.ts'

async function loose(version: string, body: string): Promise<MigrationFile> {
  const placeholders = await placeholdersOf(body)
  return { ...sqlFile(version, body), placeholders, statements: await statementSpans(body) }
}

const ORDERS = sqlFile(
  '1',
  'CREATE TABLE orders (id int, note text); INSERT INTO orders SELECT n, n FROM generate_series(1, 100) n;',
)

describe.each<Isolation>(['Schema', 'Database'])('a file outside a transaction, with isolation %s', (isolation) => {
  let shard: Shard
  beforeAll(async () => {
    shard = await freshShard(isolation)
  })

  const inside = (wish: TenantWish, ...statements: readonly string[]): Promise<readonly object[]> =>
    byHand(
      isolation === 'Database' ? { ...shard.admin, database: wish.name } : shard.admin,
      `SET search_path = "${wish.name}"`,
      ...statements,
    )
  const indexes = (wish: TenantWish): Promise<readonly object[]> =>
    inside(
      wish,
      `SELECT c.relname AS name, i.indisvalid AS valid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       WHERE c.relnamespace = '${wish.name}'::regnamespace ORDER BY 1`,
    )
  const made = async (name: string): Promise<TenantWish> => {
    const wish = shard.tenant(name, { files: [ORDERS] })
    await make(shard.session, wish)
    return wish
  }
  const applyTo = async (wish: TenantWish, ...files: readonly MigrationFile[]): Promise<string | undefined> => {
    const { wanted } = shard.tenant('', { ...wish.input, files: [ORDERS, ...files] })
    const changes = await planOf(shard.session, wish, wanted)
    const { failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    if (!failed) expect(await planOf(shard.session, wish, wanted)).toEqual([])
    return failed?.error.message
  }

  test('runs its statements one by one as the owner, and is recorded', async () => {
    const wish = await made('loose')
    const body = `-- tx: none
      CREATE INDEX CONCURRENTLY by_note ON :"schema".orders (note);
      CREATE TYPE mood AS ENUM ('sad');
      ALTER TYPE mood ADD VALUE 'glad';
      ALTER TABLE orders ADD COLUMN mood mood DEFAULT 'glad';
      UPDATE orders SET note = :'schema';
      VACUUM ANALYZE orders;
      REINDEX TABLE CONCURRENTLY orders;
      DROP INDEX CONCURRENTLY IF EXISTS by_note;
      CREATE TABLE parts (n int) PARTITION BY LIST (n);
      CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
      ALTER TABLE parts DETACH PARTITION part CONCURRENTLY;
      CREATE MATERIALIZED VIEW seen AS SELECT id FROM orders;
      CREATE UNIQUE INDEX CONCURRENTLY of_seen ON seen (id);
${isolation === 'Database' ? 'REFRESH MATERIALIZED VIEW CONCURRENTLY seen;' : '-- needs temporary tables'}`
    expect(await applyTo(wish, await loose('2', body))).toBeUndefined()
    expect(await indexes(wish)).toEqual([{ name: 'of_seen', valid: true }])
    expect(await inside(wish, 'SELECT DISTINCT note, mood FROM orders')).toEqual([{ note: wish.name, mood: 'glad' }])
    const owners = await inside(
      wish,
      `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relnamespace = '${wish.name}'::regnamespace`,
    )
    expect(owners).toEqual([{ owner: `${wish.name}_owner` }])
    const rows = await byHand(
      shard.admin,
      `SELECT event, body FROM tenantry.migration WHERE schema = '${wish.name}' AND version = '2'`,
    )
    expect(rows).toEqual([{ event: 'apply', body }])
  })

  test('makes an index anew that an earlier attempt left invalid, and keeps one that it left valid', async () => {
    const wish = await made('invalid')
    await inside(
      wish,
      'CREATE INDEX by_note ON orders (note)',
      'CREATE INDEX by_id ON orders (id)',
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_note'::regclass`,
    )
    const oid = async (): Promise<unknown> => (await inside(wish, `SELECT 'by_id'::regclass::oid AS oid`))[0]
    const before = await oid()
    const body = 'CREATE INDEX CONCURRENTLY by_note ON orders (note); CREATE INDEX CONCURRENTLY by_id ON orders (id);'
    expect(await applyTo(wish, await loose('2', body))).toBeUndefined()
    expect(await indexes(wish)).toEqual([
      { name: 'by_id', valid: true },
      { name: 'by_note', valid: true },
    ])
    expect(await oid()).toEqual(before)
  })

  test('leaves no invalid index where it cannot be made, keeps what came before, and says what to do', async () => {
    const wish = await made('twice')
    const body = `CREATE TABLE IF NOT EXISTS kept (id int);
      CREATE UNIQUE INDEX CONCURRENTLY one_note ON orders ((1));`
    const message = await applyTo(wish, await loose('2', body))
    expect(message).toMatch(/could not create unique index "one_note" in statement 2 of 2 at line 2 \(SQLSTATE 23505\)/)
    expect(message).toContain('its statements must be repeatable')
    expect(await indexes(wish)).toEqual([])
    expect(await inside(wish, 'SELECT FROM kept')).toEqual([])
    const corrected = await loose('2', body.replace('UNIQUE ', ''))
    expect(await applyTo(wish, corrected)).toBeUndefined()
    const rows = await byHand(
      shard.admin,
      `SELECT event, left(error, 5) AS state FROM tenantry.migration WHERE schema = '${wish.name}' AND version = '2' ORDER BY seq`,
    )
    expect(rows).toEqual([
      { event: 'fail', state: '23505' },
      { event: 'apply', state: null },
    ])
  })

  test.each([
    [
      'another index has the name',
      'CREATE INDEX by_note ON orders (note); CREATE UNIQUE INDEX CONCURRENTLY by_note ON orders (id);',
      'there is another index "by_note"',
    ],
    ['an index has no name', 'CREATE INDEX CONCURRENTLY ON orders (note);', 'needs a name'],
    ['it leaves its role', 'RESET ROLE;', 'cannot set parameter "role"'],
    ['it sets another role', 'DO $$ BEGIN SET ROLE postgres; END $$;', 'cannot set parameter "role"'],
    ['it begins a transaction', 'BEGIN;', 'in statement 1 of 1'],
    ['it is no SQL', 'SELECT 1; SELECT nothing;', 'in statement 2 of 2'],
  ])('is refused where %s', async (what, body, message) => {
    const wish = await made(`no-${what.replaceAll(' ', '-')}`)
    expect(await applyTo(wish, await loose('2', body))).toContain(message)
  })

  test('is recorded once although it lets go of the lock that keeps others out', async () => {
    const wish = await made('unlocked')
    const body = `SELECT pg_advisory_unlock_all(); CREATE TABLE IF NOT EXISTS slow (n int); INSERT INTO slow SELECT 1 FROM pg_sleep(0.3);`
    const file = await loose('2', body)
    const { wanted } = shard.tenant('', { ...wish.input, files: [ORDERS, file] })
    const changes = await planOf(shard.session, wish, wanted)
    const batch = { owner: wish.owner, changes, secrets: wish.secrets }
    const other = postgres.connect(shard.admin, OPTIONS)
    const both = await Promise.all([shard.session.apply(batch, signal), other.apply(batch, signal)])
    await other.close()
    expect(both.map(({ failed }) => failed)).toEqual([undefined, undefined])
    const rows = await byHand(
      shard.admin,
      `SELECT event FROM tenantry.migration WHERE schema = '${wish.name}' AND version = '2'`,
    )
    expect(rows).toEqual([{ event: 'apply' }])
  })

  test('is refused once a later epoch writes to the server', async () => {
    const wish = await made('fenced')
    const file = await loose('2', 'CREATE INDEX CONCURRENTLY by_note ON orders (note);')
    const { wanted } = shard.tenant('', { ...wish.input, files: [ORDERS, file] })
    const outcomes: unknown[] = []
    for (const epoch of [2, 1]) {
      const session = postgres.connect(shard.admin, { ...OPTIONS, fence: `outside-${isolation}`, epoch: () => epoch })
      const changes = (await planOf(session, wish, wanted)).length > 0 ? await planOf(session, wish, wanted) : []
      const target = postgres
        .tenantResources({ ...wish.input, files: [ORDERS, file] })
        .filter(({ kind }) => kind === 'Migration')
      const again = target.map((one) => ({
        op: 'create' as const,
        target: one,
        risk: 'safe' as const,
        fields: [],
        summary: 'again',
      }))
      const { failed } = await session.apply(
        { owner: wish.owner, changes: epoch === 2 ? changes : again, secrets: wish.secrets },
        signal,
      )
      outcomes.push(failed?.error.code)
      await session.close()
    }
    expect(outcomes).toEqual([undefined, 'Fenced'])
  })
})
