import { beforeAll, describe, expect, test } from 'vitest'
import type { Run } from '../../model.ts'
import { postgres } from '../engine.ts'
import {
  byHand,
  freshShard,
  make,
  OPTIONS,
  type PgSession,
  planOf,
  type Shard,
  signal,
  sqlFile,
  type TenantWish,
} from '../testing/lab.ts'

const ORDERS = sqlFile('1', 'CREATE TABLE orders (id bigint PRIMARY KEY);')
const RUN: Run = { id: 'rollout-7', by: 'jane@example.org' }

describe('the ledger', () => {
  let shard: Shard
  beforeAll(async () => {
    shard = await freshShard('Schema')
  })

  const rowsOf = (wish: TenantWish, columns: string): Promise<readonly object[]> =>
    byHand(shard.admin, `SELECT ${columns} FROM tenantry.migration WHERE schema = '${wish.name}' ORDER BY version, seq`)
  const tryFiles = async (wish: TenantWish, files: readonly ReturnType<typeof sqlFile>[]): Promise<void> => {
    const { wanted } = shard.tenant('', { ...wish.input, files })
    const changes = await planOf(shard.session, wish, wanted)
    await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets, run: RUN }, signal)
  }

  test.each([
    'UPDATE tenantry.migration SET name = name',
    'DELETE FROM tenantry.migration',
    'TRUNCATE tenantry.migration',
  ])('refuses %s, even by the administrator', async (statement) => {
    await expect(byHand(shard.admin, statement)).rejects.toThrow(
      'of the migration ledger: its rows are kept as they are',
    )
  })

  test('says on whose account, in which rollout and in what time a file was applied', async () => {
    const wish = shard.tenant('account')
    await make(shard.session, wish)
    await tryFiles(wish, [ORDERS])
    const columns =
      'event, name, checksum, body, installation, run, run_by, ms >= 0 AS timed, finished_at >= started_at AS ended'
    expect(await rowsOf(wish, columns)).toEqual([
      {
        event: 'apply',
        name: ORDERS.name,
        checksum: ORDERS.checksum,
        body: ORDERS.body,
        installation: OPTIONS.installation,
        run: RUN.id,
        run_by: RUN.by,
        timed: true,
        ended: true,
      },
    ])
  })

  test('keeps a failure once, and again when the file or what is wrong with it is another', async () => {
    const wish = shard.tenant('failing')
    await make(shard.session, wish)
    const [one, two] = [sqlFile('1', 'SELECT 1 / 0'), sqlFile('1', 'SELECT 2 / 0')]
    for (const file of [one, one, two, two, sqlFile('1', 'SELEC'), ORDERS, ORDERS]) await tryFiles(wish, [file])
    expect(await rowsOf(wish, `seq, event, left(error, 5) AS state, body IS NULL AS empty`)).toEqual([
      { seq: 1, event: 'fail', state: '22012', empty: true },
      { seq: 2, event: 'fail', state: '22012', empty: true },
      { seq: 3, event: 'fail', state: '42601', empty: true },
      { seq: 4, event: 'apply', state: null, empty: false },
    ])
    const [row] = await rowsOf(wish, 'error')
    expect(String(Reflect.get(row ?? {}, 'error'))).toContain('division by zero')
    expect(await planOf(shard.session, wish, shard.tenant('', { ...wish.input, files: [ORDERS] }).wanted)).toEqual([])
  })

  test('takes a changed text in place of the old one where that is asked for, and runs nothing', async () => {
    const wish = shard.tenant('repaired', { files: [ORDERS] })
    await make(shard.session, wish)
    const other = { ...sqlFile('1', 'SELECT 1 / 0'), repair: true }
    const later = sqlFile('2', 'CREATE TABLE later (id int)')
    const { wanted } = shard.tenant('', { ...wish.input, files: [other, later] })
    const [change, next] = await planOf(shard.session, wish, wanted)
    expect(change).toMatchObject({
      op: 'alter',
      risk: 'safe',
      summary: `record the changed text of 1.pg.sql in ${wish.name}`,
    })
    expect([change?.blocked, next?.blocked]).toEqual([undefined, undefined])
    await tryFiles(wish, [other, later])
    expect(await rowsOf(wish, 'version, event, checksum')).toEqual([
      { version: '1', event: 'apply', checksum: ORDERS.checksum },
      { version: '1', event: 'repair', checksum: other.checksum },
      { version: '2', event: 'apply', checksum: later.checksum },
    ])
    expect(await planOf(shard.session, wish, wanted)).toEqual([])
  })

  test('lets one of two operators apply a file, whatever both have seen', async () => {
    const wish = shard.tenant('both')
    await make(shard.session, wish)
    const other = postgres.connect(shard.admin, OPTIONS)
    const { wanted } = shard.tenant('', {
      ...wish.input,
      files: [sqlFile('1', 'CREATE TABLE t (n int); SELECT pg_sleep(0.3)')],
    })
    const changes = await planOf(shard.session, wish, wanted)
    const batch = { owner: wish.owner, changes, secrets: wish.secrets }
    const sessions: readonly PgSession[] = [shard.session, other, shard.session, other]
    const all = await Promise.all(sessions.map((session) => session.apply(batch, signal)))
    await other.close()
    expect(all.map(({ failed }) => failed)).toEqual([undefined, undefined, undefined, undefined])
    expect(await rowsOf(wish, 'seq, event')).toEqual([{ seq: 1, event: 'apply' }])
  })
})

/** The ledger as the first version of the control schema had it. */
const FIRST = [
  'DROP TABLE tenantry.migration',
  'DROP FUNCTION tenantry.keep()',
  `CREATE TABLE tenantry.migration (schema text NOT NULL, version text NOT NULL, name text NOT NULL, checksum text NOT NULL,
    body text NOT NULL, started_at timestamptz NOT NULL, finished_at timestamptz NOT NULL,
    applied_by text NOT NULL DEFAULT session_user, installation text NOT NULL, retired_at timestamptz)`,
  'CREATE UNIQUE INDEX migration_live ON tenantry.migration (schema, version) WHERE retired_at IS NULL',
]

const oldRow = (
  { name }: TenantWish,
  { version, checksum, body }: ReturnType<typeof sqlFile>,
  retired: string,
): string =>
  `INSERT INTO tenantry.migration SELECT '${name}', '${version}', '${version}.pg.sql', '${checksum}', '${body}',
    '2026-01-01', '2026-01-01 00:00:01', 'somebody', 'lab', ${retired}`

describe('a ledger of the first version', () => {
  const old = async (): Promise<{ shard: Shard; wish: TenantWish }> => {
    const shard = await freshShard('Schema')
    const wish = shard.tenant('old', { files: [ORDERS] })
    await make(shard.session, wish)
    const before = sqlFile('1', 'CREATE TABLE before (id int);')
    await byHand(shard.admin, ...FIRST, oldRow(wish, ORDERS, 'NULL'), oldRow(wish, before, "'2025-12-31'"))
    return { shard, wish }
  }
  const events = ({ admin }: Shard): Promise<readonly object[]> =>
    byHand(admin, 'SELECT version, seq, event, applied_by, ms::int FROM tenantry.migration ORDER BY version, seq')
  const KEPT = [
    { version: '1', seq: 1, event: 'apply', applied_by: 'somebody', ms: 1000 },
    { version: '1', seq: 2, event: 'retire', applied_by: 'somebody', ms: 0 },
    { version: '1', seq: 3, event: 'apply', applied_by: 'somebody', ms: 1000 },
  ]

  test('is read as it is, and brought up to date with all its rows by the Database', async () => {
    const { shard, wish } = await old()
    expect(await planOf(shard.session, wish)).toEqual([])
    const plan = await make(shard.session, shard.database)
    expect(plan.map(({ target, op }) => [op, target.kind])).toEqual([['alter', 'ControlSchema']])
    expect(await events(shard)).toEqual(KEPT)
    expect(await planOf(shard.session, wish)).toEqual([])
    expect(await planOf(shard.session, shard.database)).toEqual([])
  })

  test('is brought up to date before the first change of a session that begins with a Tenant', async () => {
    const { shard, wish } = await old()
    const session = postgres.connect(shard.admin, OPTIONS)
    const later = sqlFile('2', 'CREATE TABLE later (id int);')
    await make(session, wish, shard.tenant('', { ...wish.input, files: [ORDERS, later] }).wanted)
    await session.close()
    expect((await events(shard)).slice(0, 3)).toEqual(KEPT)
    expect((await events(shard)).slice(3)).toMatchObject([{ version: '2', seq: 1, event: 'apply' }])
  })
})
