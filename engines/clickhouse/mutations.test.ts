import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Link } from './client.ts'
import { ensureControl } from './control.ts'
import { openChdb } from './testing/chdb.ts'
import { file } from './testing/subjects.ts'
import { signal, tenant } from './testing/tenant.ts'

let server: Link

beforeAll(async () => {
  server = openChdb()
  await ensureControl(server, { signal })
})

afterAll(() => server.close())

const ONE = file('1', 'CREATE TABLE IF NOT EXISTS one (id UInt64, kind String) ENGINE = MergeTree ORDER BY id')
const FILLED = "INSERT INTO one SELECT number, 'a' FROM numbers(3)"
const TWO = file(
  '2',
  `ALTER TABLE one UPDATE kind = 'b' WHERE true;
  CREATE TABLE IF NOT EXISTS two (id UInt64) ENGINE = MergeTree ORDER BY id`,
)

async function filled() {
  const t = tenant(server)
  await t.apply({ files: [ONE] })
  await t.run(FILLED)
  return t
}

describe('a file with a mutation', () => {
  test('counts as applied when the mutation is done', async () => {
    const t = await filled()
    expect((await t.apply({ files: [ONE, TWO] })).failed).toBeUndefined()
    expect(await t.rows('SELECT DISTINCT kind FROM one')).toEqual([{ kind: 'b' }])
  })

  test('that takes longer than it is waited for goes on behind it at the next attempt, and is sent once', async () => {
    const t = await filled()
    await t.run('SYSTEM STOP MERGES one')
    for (let i = 0; i < 2; i++) {
      const { failed } = await t.apply({ files: [ONE, TWO] }, { waitMs: 50 })
      expect(failed?.error).toMatchObject({ code: 'Timeout', message: expect.stringContaining('statement 1 of 2') })
    }
    expect(await t.columns()).toEqual(['one.id', 'one.kind'])
    await t.run('SYSTEM START MERGES one')
    expect((await t.apply({ files: [ONE, TWO] })).failed).toBeUndefined()
    expect(await t.rows('SELECT command FROM system.mutations WHERE database = currentDatabase()')).toHaveLength(1)
    expect(await t.events()).toEqual(['1 apply', '2 begin', '2 wait', '2 wait', '2 apply'])
    expect((await t.history()).map(({ statement }) => statement)).toEqual([0, 0, 1, 1, 0])
  })

  test('that fails for ever is a failed file with the reason of the server, and does not hold up the mended one', async () => {
    const t = await filled()
    const broken = file('2', "ALTER TABLE one UPDATE kind = toString(throwIf(id = 1, 'no good')) WHERE true")
    const { failed } = await t.apply({ files: [ONE, broken] }, { waitMs: 20_000 })
    expect(failed?.error).toMatchObject({ code: 'MigrationFailed', message: expect.stringContaining('no good') })
    expect(await t.rows('SELECT 1 FROM system.mutations WHERE database = currentDatabase() AND NOT is_done')).toEqual(
      [],
    )
    expect((await t.history()).at(-1)).toMatchObject({ event: 'fail', error: failed?.error.message })
    expect((await t.apply({ files: [ONE, TWO] })).failed).toBeUndefined()
  })

  test("does not wait for what the tenant's own programs have begun before, and stops when the caller gives up", async () => {
    const t = await filled()
    await t.run('CREATE TABLE own (a UInt8) ENGINE = MergeTree ORDER BY a')
    await t.run('INSERT INTO own VALUES (1)')
    await t.run('SYSTEM STOP MERGES own')
    await server.run('ALTER TABLE own DELETE WHERE true', {
      doing: 'x',
      signal,
      database: t.name,
      settings: { mutations_sync: '0' },
    })
    expect((await t.apply({ files: [ONE, TWO] })).failed).toBeUndefined()
    await t.run('SYSTEM STOP MERGES one')
    const three = file('3', 'DELETE FROM one WHERE id = 1')
    const { failed } = await t.apply({ files: [ONE, TWO, three] }, { signal: AbortSignal.timeout(300) })
    expect(failed?.error).toMatchObject({ code: 'Timeout', message: expect.stringContaining('given up') })
    await t.run('SYSTEM START MERGES one')
    await t.run('SYSTEM START MERGES own')
  })
})

test('a file that lost a table is destructive to run again when it loses data, and safe otherwise', async () => {
  const t = await filled()
  const drop = file('2', 'DROP TABLE IF EXISTS two')
  await t.apply({ files: [ONE, drop] })
  await t.run('DROP TABLE one SYNC')
  expect((await t.diff({ files: [ONE, drop] })).map(({ op, risk }) => [op, risk])).toEqual([
    ['alter', 'safe'],
    ['alter', 'destructive'],
  ])
})
