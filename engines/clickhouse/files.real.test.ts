import { afterAll, describe, expect, test } from 'vitest'
import { clickhouse } from './engine.ts'
import { identifier } from './quote.ts'
import { batch, operate, ownDatabase } from './testing/operate.ts'
import { freshTenant, HOSTILE, OPTIONS, rawClient, serverUnderTest, type TestTenant } from './testing/server.ts'
import { file } from './testing/subjects.ts'

const signal = AbortSignal.timeout(300_000)
const connection = serverUnderTest()
const raw = rawClient(connection)
const session = clickhouse.connect(connection, OPTIONS)
const { diff, make } = operate(session, signal)

afterAll(async () => {
  await session.close()
  await raw.close()
})

describe('SQL files', () => {
  const table = (name: string) => `CREATE TABLE IF NOT EXISTS ${name} (id UInt64) ENGINE = MergeTree ORDER BY id`
  const first = file('0001', table('one'))
  const second = file('0002', `ALTER TABLE one ADD COLUMN IF NOT EXISTS extra String; ${table('two')}`)

  async function tables(tenant: TestTenant): Promise<readonly string[]> {
    const rows = await raw.rows<{ name: string }>(
      'SELECT name FROM system.tables WHERE database = {name:String} ORDER BY name',
      { name: tenant.name },
    )
    return rows.map((r) => r.name)
  }

  test('run in order of their version, each once, and the version is told', async () => {
    const tenant = freshTenant()
    const wanted = ownDatabase(tenant, [second, first])
    const plan = await diff(tenant, wanted)
    expect(plan.slice(0, 3).map((c) => c.target.id)).toEqual([
      `database/${tenant.name}`,
      `file/${tenant.name}/0001`,
      `file/${tenant.name}/0002`,
    ])
    await make(tenant, ownDatabase(tenant, [first]))
    expect(clickhouse.schemaVersion(tenant.name, await session.observe([tenant.name], signal))).toBe('0001')
    await make(tenant, wanted)
    const found = await session.observe([tenant.name], signal)
    expect(clickhouse.schemaVersion(tenant.name, found)).toBe('0002')
    expect(clickhouse.schemaVersion('t_nobody_00000000', found)).toBeUndefined()
    const runs = await raw.rows(
      'SELECT version, done, body, applied_by AS who FROM tenantry.ledger WHERE database = {name:String} ORDER BY seq',
      { name: tenant.name },
    )
    const who = OPTIONS.installation
    expect(runs).toEqual([
      { version: '0001', done: true, body: first.body, who },
      { version: '0002', done: false, body: second.body, who },
      { version: '0002', done: true, body: second.body, who },
    ])
    await make(tenant, [])
  })

  test('that lost a table run again with all that follow, and later drops are respected', async () => {
    const tenant = freshTenant()
    const third = file('0003', 'DROP TABLE IF EXISTS two SYNC')
    const wanted = ownDatabase(tenant, [first, second, third])
    await make(tenant, wanted)
    expect(await diff(tenant, wanted)).toEqual([])
    expect(await tables(tenant)).toEqual(['one'])
    await raw.run(`DROP TABLE ${identifier(tenant.name)}.one SYNC`)
    const plan = await diff(tenant, wanted)
    expect(plan.map((c) => [c.op, c.target.id.split('/')[2]])).toEqual([
      ['alter', '0001'],
      ['alter', '0002'],
      ['alter', '0003'],
    ])
    await make(tenant, wanted)
    expect(await diff(tenant, wanted)).toEqual([])
    const columns = 'SELECT name FROM system.columns WHERE database = {name:String} AND table = {table:String}'
    expect(await raw.rows(columns, { name: tenant.name, table: 'one' })).toEqual([{ name: 'id' }, { name: 'extra' }])
    await make(tenant, [])
  })

  test("do not claim a tenant's own table, which may go away again", async () => {
    const tenant = freshTenant()
    const wanted = ownDatabase(tenant, [first])
    await make(tenant, wanted)
    await raw.run(`CREATE TABLE ${identifier(tenant.name)}.own (a UInt8) ENGINE = Memory`)
    await raw.run(`DROP TABLE ${identifier(tenant.name)}.one SYNC`)
    await make(tenant, wanted)
    await raw.run(`DROP TABLE ${identifier(tenant.name)}.own SYNC`)
    expect(await diff(tenant, wanted)).toEqual([])
    await make(tenant, [])
  })

  test.each([
    { which: 'first', files: [first], lost: 'one' },
    { which: 'second', files: [first, second], lost: 'two' },
  ])('that were killed between the tables and the ledger still know which tables the $which made', async (killed) => {
    const tenant = freshTenant()
    const wanted = ownDatabase(tenant, killed.files)
    await make(tenant, wanted)
    const version = killed.files.at(-1)?.version
    const where = `database = '${tenant.name}' AND version = '${version}' AND done`
    await raw.run(`DELETE FROM tenantry.ledger WHERE ${where}`)
    expect((await diff(tenant, wanted)).map((c) => c.op)).toEqual(['create'])
    await make(tenant, wanted)
    await raw.run(`DROP TABLE ${identifier(tenant.name)}.${killed.lost} SYNC`)
    expect((await diff(tenant, wanted)).map((c) => c.op)).toEqual(['alter'])
    await make(tenant, [])
  })

  test('do not claim what was in an adopted database before, even where its mark was damaged since', async () => {
    const tenant = freshTenant()
    const [wanted, name] = [ownDatabase(tenant, [first]), identifier(tenant.name)]
    await raw.run(`CREATE DATABASE ${name}`)
    await raw.run(`CREATE TABLE ${name}.theirs (a UInt8) ENGINE = Memory`)
    const plan = await diff(tenant, wanted)
    expect(plan.map((c) => c.op).slice(0, 2)).toEqual(['adopt', 'create'])
    expect((await session.apply(batch(tenant, plan), signal)).failed).toBeUndefined()
    await raw.run(`ALTER DATABASE ${name} MODIFY COMMENT ''`)
    await raw.run(`DROP TABLE ${name}.theirs SYNC`)
    const again = await diff(tenant, wanted)
    expect(again.map((c) => c.op)).toEqual(['adopt'])
    expect((await session.apply(batch(tenant, again), signal)).failed).toBeUndefined()
    expect(await diff(tenant, wanted)).toEqual([])
    await make(tenant, [])
  })

  test('that changed after they were applied block themselves and what follows, and nothing else', async () => {
    const tenant = freshTenant()
    await make(tenant, ownDatabase(tenant, [first]))
    const changed = file('0001', `${first.body} COMMENT 'new'`)
    const plan = await diff(tenant, ownDatabase(tenant, [changed, second]))
    expect(plan.map((c) => [c.op, c.blocked?.code, c.blocked?.adoptable])).toEqual([
      ['alter', 'MigrationChanged', false],
      ['create', 'MigrationChanged', false],
    ])
    await make(tenant, [])
  })

  test('that fail say which statement of which file, and end the batch before the next one', async () => {
    const tenant = freshTenant()
    const broken = file(
      '0002',
      `${table('three')}; CREATE TABLE IF NOT EXISTS broken (id NoSuchType) ENGINE = MergeTree ORDER BY id`,
    )
    const plan = await diff(tenant, ownDatabase(tenant, [first, broken, file('0003', table('never'))]))
    const { done, failed } = await session.apply(batch(tenant, plan), signal)
    expect(done.map((c) => c.target.kind)).toEqual(['database', 'file'])
    expect(failed?.error.code).toBe('MigrationFailed')
    expect(failed?.error.message).toMatch(/file 0002 file 0002 to t_\w+, statement 2 of 2 .*UNKNOWN_TYPE/)
    expect(await tables(tenant)).toEqual(['one', 'three'])
    await make(tenant, ownDatabase(tenant, [first, file('0002', table('three'))]))
    await make(tenant, [])
  })

  test('may be longer than what the server takes for one statement, and are kept as they are', async () => {
    const tenant = freshTenant()
    const body = `${first.body} -- ${`\\ ' {a:String} 漢 🐘 `.repeat(20_000)}`
    const wanted = ownDatabase(tenant, [file('0001', body)])
    await make(tenant, wanted)
    expect(await diff(tenant, wanted)).toEqual([])
    const kept = 'SELECT DISTINCT body FROM tenantry.ledger WHERE database = {name:String}'
    expect(await raw.rows(kept, { name: tenant.name })).toEqual([{ body }])
    await make(tenant, [])
  })

  test('get the database and the tenant as parameters, which are bound by the server', async () => {
    const tenant = freshTenant()
    const body = `CREATE TABLE IF NOT EXISTS {schema:Identifier}.p (id UInt8, tenant String DEFAULT {tenant:String},
      place String DEFAULT {schema:String}) ENGINE = MergeTree ORDER BY id;
      -- lint:ignore insert only where it is not there\nINSERT INTO p (id) SELECT 1 WHERE 1 NOT IN (SELECT id FROM p)`
    const { name, tenantId, shared } = tenant
    const input = { name, tenantId, shared, suspended: false, logins: [], limits: {}, tenant: HOSTILE }
    const wanted = clickhouse.tenantResources({ ...input, isolation: 'Database', files: [file('1', body)] })
    await make(tenant, wanted)
    const kept = await raw.rows(`SELECT tenant, place FROM ${identifier(name)}.p`)
    expect(kept).toEqual([{ tenant: HOSTILE, place: name }])
    await make(tenant, [])
  })

  test('that cannot be cut into statements are SourceInvalid', async () => {
    const tenant = freshTenant()
    const plan = await diff(tenant, ownDatabase(tenant, [file('1', "SELECT 'x")]))
    expect((await session.apply(batch(tenant, plan), signal)).failed?.error.code).toBe('SourceInvalid')
    await make(tenant, [])
  })
})
