import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DownFile, MigrationFile } from '../model.ts'
import { applyAll } from './apply.ts'
import type { Link } from './client.ts'
import { ensureControl } from './control.ts'
import { clickhouse } from './engine.ts'
import { fencedLink } from './fence.ts'
import { readHistory } from './ledger.ts'
import { openRecorder } from './record.ts'
import { openChdb } from './testing/chdb.ts'
import { file } from './testing/subjects.ts'
import { dying, OWNER as owner, RUN, signal, TENANT, tenant } from './testing/tenant.ts'

let server: Link

beforeAll(async () => {
  server = openChdb()
  await ensureControl(server, { signal })
})

afterAll(() => server.close())

const ONE = file('1', 'CREATE TABLE IF NOT EXISTS one (id UInt64, kind String) ENGINE = MergeTree ORDER BY id')
const FILL = "INSERT INTO one SELECT number, 'a' FROM numbers(3)"

function withDown(up: MigrationFile, body: string, guards: DownFile['guards'] = []): MigrationFile {
  const { name, checksum } = file(up.version, body)
  return { ...up, down: { name, checksum, body, guards } }
}

describe('the ledger', () => {
  test('says for each file on whose account it ran, how long it took, and what it made', async () => {
    const t = tenant(server)
    const two = file('2', 'CREATE TABLE IF NOT EXISTS two (id UInt64) ENGINE = MergeTree ORDER BY id')
    expect((await t.apply({ files: [ONE, two] })).failed).toBeUndefined()
    const of = { database: t.name, run: RUN.id, runBy: RUN.by, installation: 'i', error: '' }
    expect(await t.history()).toMatchObject([
      { ...of, version: '1', event: 'apply', done: true, made: ['one'], body: ONE.body, checksum: ONE.checksum },
      { ...of, version: '2', event: 'begin', done: false, ms: 0 },
      { ...of, version: '2', event: 'apply', done: true, made: ['two'], name: 'file 2' },
    ])
    const [first, , last] = await t.history()
    expect(first?.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const later = await readHistory(server, first?.seq ?? '', { doing: 'test', signal })
    expect(later.map(({ seq }) => seq)).not.toContain(first?.seq)
    expect(later.at(-1)?.seq).toBe(last?.seq)
  })

  test('keeps a failure once, however often it is tried, and what follows when the file is mended', async () => {
    const t = tenant(server)
    const broken = file('2', 'CREATE TABLE IF NOT EXISTS two (id NoSuch) ENGINE = MergeTree ORDER BY id')
    for (let i = 0; i < 3; i++)
      expect((await t.apply({ files: [ONE, broken] })).failed?.error.code).toBe('MigrationFailed')
    expect(await t.events()).toEqual(['1 apply', '2 begin', '2 fail'])
    expect((await t.history()).at(-1)?.error).toContain('statement 1 of 1')
    const mended = file('2', broken.body.replace('NoSuch', 'UInt8'))
    expect((await t.apply({ files: [ONE, mended] })).failed).toBeUndefined()
    expect((await t.events()).slice(3)).toEqual(['2 begin', '2 apply'])
    expect((await t.history()).at(-1)?.made).toEqual(['two'])
  })

  test('of an older version is read as it is, and gets the newer columns with the first batch', async () => {
    const t = tenant(server)
    await t.apply({ files: [ONE] })
    for (const column of ['event', 'statement', 'run', 'run_by', 'ms', 'error'])
      await server.run(`ALTER TABLE tenantry.ledger DROP COLUMN ${column}`, { doing: 'test', signal })
    expect(await t.diff({ files: [ONE] })).toEqual([])
    await ensureControl(server, { signal })
    expect(await t.events()).toEqual(['1 apply'])
  })
})

describe('a file that is refused', () => {
  test.each([
    [
      '2_x.sql:2:1 missing-if-not-exists',
      'CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = Memory;\nCREATE TABLE b (x UInt8) ENGINE = Memory',
    ],
    ['other-database', 'ALTER TABLE default.t ADD COLUMN IF NOT EXISTS a UInt8'],
    ['2_x.sql:1:1 insert', 'INSERT INTO one VALUES (1)'],
  ])('by the rule %s runs none of its statements, and is in the ledger', async (message, body) => {
    const t = tenant(server)
    const { failed, done } = await t.apply({ files: [ONE, { ...file('2', body), name: '2_x.sql' }] })
    expect([done.length, failed?.error.code]).toEqual([2, 'MigrationFailed'])
    expect(failed?.error.message).toContain(message)
    expect(await t.columns()).toEqual(['one.id', 'one.kind'])
    expect((await t.history()).at(-1)).toMatchObject({ event: 'fail', error: failed?.error.message })
  })

  test('does not hinder one whose destructive or ignored statements somebody has released', async () => {
    const t = tenant(server)
    const body = `-- lint:ignore insert the table is new\n${FILL};\nTRUNCATE TABLE one`
    expect((await t.apply({ files: [ONE, file('2', body)] })).failed).toBeUndefined()
  })
})

describe('parameters', () => {
  test('are bound: the database and the tenant, whatever their names', async () => {
    const t = tenant(server)
    const body = `CREATE TABLE IF NOT EXISTS {schema:Identifier}.p (id UInt8, tenant String DEFAULT {tenant:String},
      place String DEFAULT {schema:String}) ENGINE = MergeTree ORDER BY id;
      -- lint:ignore insert only one\nINSERT INTO {schema:Identifier}.p (id) SELECT 1 WHERE 1 NOT IN (SELECT id FROM p)`
    const { failed } = await t.apply({ files: [file('1', body)] })
    expect(failed?.error.message).toBeUndefined()
    expect(await t.rows('SELECT tenant, place FROM p')).toEqual([{ tenant: TENANT, place: t.name }])
  })

  test('of the tenant have no value in shared tables, which is told before the statement runs', async () => {
    const files = [file('1', 'CREATE TABLE IF NOT EXISTS s (a String DEFAULT {tenant:String}) ENGINE = Memory')]
    const shared = 'd_shared'
    const wanted = clickhouse.databaseResources({ isolation: 'Row', shared, extensions: [], files })
    expect(wanted.find(({ kind }) => kind === 'file')?.spec).not.toHaveProperty('tenant')
    const changes = wanted.filter(({ kind }) => kind !== 'guard')
    const batch = {
      owner,
      changes: changes.map((target) => ({ op: 'create', target, risk: 'safe', fields: [], summary: '' }) as const),
      secrets: () => '',
    }
    const fixed = { admin: 'x', accessControl: false, installation: 'i', replicaSets: [], waitMs: 1, signal }
    const { failed } = await applyAll(
      { link: fencedLink(server, undefined), record: openRecorder(server), ...fixed },
      batch,
    )
    expect(failed?.error).toMatchObject({
      code: 'MigrationFailed',
      message: expect.stringContaining('shared by all tenants'),
    })
  })
})

describe('repair', () => {
  test('records a changed text without running it, and says so as a safe change', async () => {
    const t = tenant(server)
    await t.apply({ files: [ONE] })
    const changed: MigrationFile = { ...file('1', `${ONE.body} COMMENT 'x'`), repair: true }
    const [change] = await t.diff({ files: [changed] })
    expect(change).toMatchObject({ op: 'alter', risk: 'safe', summary: 'record the changed text of file 1 file 1' })
    expect(change && clickhouse.statements(change)).toEqual([])
    expect((await t.apply({ files: [changed] })).failed).toBeUndefined()
    expect(
      await t.rows("SELECT comment FROM system.tables WHERE database = currentDatabase() AND comment != ''"),
    ).toEqual([])
    expect(await t.events()).toEqual(['1 apply', '1 repair'])
    const { repair: _, ...settled } = changed
    expect(await t.diff({ files: [settled] })).toEqual([])
    await t.run('DROP TABLE one SYNC')
    expect(await t.diff({ files: [settled] }), 'still knows what it made').toMatchObject([{ op: 'alter' }])
  })
})

/** To look, to read the guards, to write the intent, to run two statements with their mutations, and to write the outcome. */
const UNDO_REQUESTS = 12

describe('undoing', () => {
  const two = withDown(
    file(
      '2',
      'ALTER TABLE one ADD COLUMN IF NOT EXISTS note String; CREATE TABLE IF NOT EXISTS two (a UInt8) ENGINE = Memory',
    ),
    'ALTER TABLE one DROP COLUMN IF EXISTS note; DROP TABLE IF EXISTS two',
    [{ table: 'one', column: 'note' }, { table: 'two' }],
  )
  const three = withDown(
    file('10', 'ALTER TABLE one ADD COLUMN IF NOT EXISTS more UInt8'),
    'ALTER TABLE one DROP COLUMN IF EXISTS more',
  )

  test('runs down files, the last first, and only where the files are applied', async () => {
    const t = tenant(server)
    await t.apply({ files: [ONE, two, three] })
    expect(clickhouse.schemaVersion(t.name, await t.look())).toBe('10')
    const plan = await t.diff({ files: [ONE], reverted: [two, three] })
    expect(plan.map(({ op, risk, summary }) => [op, risk, summary.slice(0, 12)])).toEqual([
      ['drop', 'disruptive', 'undo file 10'],
      ['drop', 'destructive', 'undo file 2 '],
    ])
    expect((await t.apply({ files: [ONE], reverted: [two, three] })).failed).toBeUndefined()
    expect(await t.columns()).toEqual(['one.id', 'one.kind'])
    expect(await t.diff({ files: [ONE], reverted: [two, three] })).toEqual([])
    expect(clickhouse.schemaVersion(t.name, await t.look())).toBe('1')
    expect((await t.events()).slice(-3)).toEqual(['2 undo', '2 begin', '2 revert'])
    expect((await t.apply({ files: [ONE, two] })).failed).toBeUndefined()
    expect(await t.columns()).toEqual(['one.id', 'one.kind', 'one.note', 'two.a'])
  })

  test.each([
    ['table two has rows', 'INSERT INTO two VALUES (1)'],
    ['column note of table one has values', "INSERT INTO one (id, note) VALUES (1, 'x')"],
  ])('is refused where something would be lost: %s', async (message, sql) => {
    const t = tenant(server)
    await t.apply({ files: [ONE, two] })
    await t.run('INSERT INTO one (id) VALUES (7)')
    await t.run(sql)
    const { failed } = await t.apply({ files: [ONE], reverted: [two] })
    expect(failed?.error).toMatchObject({ code: 'MigrationFailed', message: expect.stringContaining(message) })
    expect((await t.columns()).length).toBe(4)
    expect(clickhouse.schemaVersion(t.name, await t.look())).toBe('2')
  })

  test('may be killed at any request, and is then undone to the end, or the file is applied again', async () => {
    for (let at = 1; at <= UNDO_REQUESTS; at++) {
      const t = tenant(server)
      const [files, columns] = at % 3 === 0 ? [{ files: [ONE], reverted: [two] }, 2] : [{ files: [ONE, two] }, 4]
      await t.apply({ files: [ONE, two] })
      await t.apply({ files: [ONE], reverted: [two] }, {}, dying(server, at))
      expect((await t.apply(files)).failed, `request ${at}`).toBeUndefined()
      expect(await t.diff(files)).toEqual([])
      expect((await t.columns()).length, `request ${at}`).toBe(columns)
    }
  })
})
