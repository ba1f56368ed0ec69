import { beforeAll, describe, expect, test } from 'vitest'
import type { Isolation, MigrationFile } from '../../model.ts'
import {
  byHand,
  databaseWish,
  freshShard,
  make,
  planOf,
  type Shard,
  signal,
  sqlFile,
  type TenantWish,
  type Wish,
} from '../testing/lab.ts'
import { guardsOf } from './guards.ts'

/** A file with what undoes it. */
async function file(version: string, body: string, down: string): Promise<MigrationFile> {
  const { guards, reason } = await guardsOf(down)
  if (reason !== undefined) throw new Error(reason)
  return { ...sqlFile(version, body), down: { ...sqlFile(`${version}.down`, down), guards } }
}

const ORDERS = await file('1', 'CREATE TABLE orders (id int PRIMARY KEY, note text);', 'DROP TABLE orders;')
const PAID = await file(
  '2',
  `ALTER TABLE orders ADD COLUMN paid boolean NOT NULL DEFAULT false, ADD COLUMN facts json;`,
  'ALTER TABLE orders DROP COLUMN paid, DROP COLUMN facts;',
)
const LINES = await file(
  '10',
  'CREATE TABLE lines (n int); CREATE INDEX by_n ON lines (n);',
  'DROP INDEX by_n; DROP TABLE lines;',
)

describe.each<Isolation>(['Schema', 'Database'])('undoing SQL files of isolation %s', (isolation) => {
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
  const tables = async (wish: TenantWish): Promise<readonly unknown[]> =>
    (
      await inside(
        wish,
        `SELECT relname FROM pg_class WHERE relnamespace = '${wish.name}'::regnamespace AND relkind = 'r' ORDER BY 1`,
      )
    ).map((row) => Reflect.get(row, 'relname'))
  const events = (wish: TenantWish): Promise<readonly object[]> =>
    byHand(
      shard.admin,
      `SELECT version, event FROM tenantry.migration WHERE schema = '${wish.name}' AND version <> '1' ORDER BY version, seq`,
    )
  const made = async (name: string): Promise<TenantWish> => {
    const wish = shard.tenant(name, { files: [ORDERS, PAID, LINES] })
    await make(shard.session, wish)
    return wish
  }
  const without = (wish: TenantWish, ...reverted: readonly MigrationFile[]) =>
    shard.tenant('', {
      ...wish.input,
      files: [ORDERS, PAID, LINES].filter((each) => !reverted.includes(each)),
      reverted,
    }).wanted

  test('runs what undoes them, the last first, and lets them be applied again', async () => {
    const wish = await made('undone')
    await inside(wish, `INSERT INTO orders VALUES (1, 'x')`)
    const wanted = without(wish, PAID, LINES)
    const plan = await planOf(shard.session, wish, wanted)
    expect(plan.map(({ op, target, risk, summary }) => [op, target.data, risk, summary])).toEqual([
      ['drop', false, 'destructive', `undo 10.pg.sql in ${wish.name}`],
      ['drop', false, 'destructive', `undo 2.pg.sql in ${wish.name}`],
    ])
    await make(shard.session, wish, wanted)
    expect(await tables(wish)).toEqual(['orders'])
    expect(await inside(wish, 'SELECT * FROM orders')).toEqual([{ id: 1, note: 'x' }])
    expect(await planOf(shard.session, wish, wanted)).toEqual([])
    await make(shard.session, wish)
    expect(await events(wish)).toEqual([
      { version: '10', event: 'apply' },
      { version: '10', event: 'revert' },
      { version: '10', event: 'apply' },
      { version: '2', event: 'apply' },
      { version: '2', event: 'revert' },
      { version: '2', event: 'apply' },
    ])
  })

  test.each([
    ['a table', `INSERT INTO lines VALUES (1)`, 'table "lines" has rows'],
    [
      'a column',
      `INSERT INTO orders VALUES (1, 'x', true)`,
      'column "paid" of table "orders" holds other values than its default',
    ],
    [
      'a column without a default',
      `INSERT INTO orders (id, facts) VALUES (1, '{}')`,
      'column "facts" of table "orders" holds',
    ],
  ])('is refused where %s holds data, and leaves it', async (what, insert, message) => {
    const wish = await made(`held-${what.replaceAll(' ', '-')}`)
    await inside(wish, insert)
    const wanted = without(wish, PAID, LINES)
    const changes = await planOf(shard.session, wish, wanted)
    const { done, failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    expect(failed?.error).toMatchObject({
      code: 'RollbackRefused',
      retry: 'slow',
      message: expect.stringContaining(message),
    })
    expect(done.length).toBe(message.includes('lines') ? 0 : 1)
    expect(await tables(wish)).toEqual(message.includes('lines') ? ['lines', 'orders'] : ['orders'])
    expect((await events(wish)).at(-1)).toEqual(
      message.includes('lines') ? { version: '2', event: 'apply' } : { version: '2', event: 'fail' },
    )
  })

  test('waits for those who write, and sees what they wrote', async () => {
    const wish = await made('written')
    const writing = inside(wish, 'BEGIN', 'INSERT INTO lines VALUES (1)', 'SELECT pg_sleep(0.3)', 'COMMIT')
    await expect
      .poll(() =>
        byHand(
          shard.admin,
          `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.3)%' AND pid <> pg_backend_pid()`,
        ),
      )
      .not.toEqual([])
    const changes = await planOf(shard.session, wish, without(wish, LINES))
    const { failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    await writing
    expect(failed?.error.code).toBe('RollbackRefused')
    expect(await inside(wish, 'SELECT * FROM lines')).toEqual([{ n: 1 }])
  })

  test('does nothing where the file was not applied, and is blocked where another text was', async () => {
    const wish = shard.tenant('other', { files: [ORDERS] })
    await make(shard.session, wish)
    expect(await planOf(shard.session, wish, without(wish, PAID, LINES))).toEqual([])
    const changed = await file('1', 'CREATE TABLE orders (id int);', 'DROP TABLE orders;')
    const [change] = await planOf(
      shard.session,
      wish,
      shard.tenant('', { ...wish.input, files: [], reverted: [changed] }).wanted,
    )
    expect(change?.blocked?.code).toBe('MigrationChanged')
    const { failed } = await shard.session.apply(
      { owner: wish.owner, changes: change ? [change] : [], secrets: wish.secrets },
      signal,
    )
    expect(failed?.error.code).toBe('MigrationChanged')
    expect(await tables(wish)).toEqual(['orders'])
  })
})

test('undoing a file of shared tables sees the rows of all tenants through row security', async () => {
  const files = [
    await file('1', 'CREATE TABLE notes (tenant_id text NOT NULL, note text);', 'DROP TABLE notes;'),
    await file('2', 'ALTER TABLE notes ADD COLUMN extra text;', 'ALTER TABLE notes DROP COLUMN extra;'),
  ]
  const shard = await freshShard('Row', { files })
  const { name } = shard.database
  const reverted = (wish: Wish, list: readonly MigrationFile[]) => ({
    ...wish,
    wanted: databaseWish('Row', {
      files: files.filter((each) => !list.includes(each)),
      reverted: list,
      name: shard.databaseName,
    }).wanted,
  })
  await byHand(shard.admin, `INSERT INTO "${name}".notes VALUES ('some/body', 'x', 'y')`)
  const attempt = async (list: readonly MigrationFile[]): Promise<string | undefined> => {
    const { owner, secrets, wanted } = reverted(shard.database, list)
    const changes = await planOf(shard.session, shard.database, wanted)
    return (await shard.session.apply({ owner, changes, secrets }, signal)).failed?.error.message
  }
  expect(await attempt(files.slice(1))).toContain('column "extra" of table "notes" holds')
  await byHand(shard.admin, `UPDATE "${name}".notes SET extra = NULL`)
  expect(await attempt(files.slice(1))).toBeUndefined()
  expect(await attempt(files)).toContain('table "notes" has rows')
  const forced = `SELECT relforcerowsecurity AS forced FROM pg_class WHERE relname = 'notes'`
  expect(await byHand(shard.admin, forced)).toEqual([{ forced: true }])
  expect(await byHand(shard.admin, `SELECT * FROM "${name}".notes`)).toEqual([{ tenant_id: 'some/body', note: 'x' }])
})
