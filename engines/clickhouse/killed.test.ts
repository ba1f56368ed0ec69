import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Link } from './client.ts'
import { ensureControl } from './control.ts'
import { openChdb } from './testing/chdb.ts'
import { file } from './testing/subjects.ts'
import { dying, signal, tenant } from './testing/tenant.ts'

let server: Link

beforeAll(async () => {
  server = openChdb()
  await ensureControl(server, { signal })
})

afterAll(() => server.close())

/** Three files that make, alter, mutate, rename and drop. */
const FILES = [
  file(
    '1',
    `CREATE TABLE IF NOT EXISTS one (id UInt64, kind String) ENGINE = MergeTree ORDER BY id;
    CREATE TABLE IF NOT EXISTS old (id UInt64) ENGINE = MergeTree ORDER BY id`,
  ),
  file(
    '2',
    `ALTER TABLE one ADD COLUMN IF NOT EXISTS note String, ADD INDEX IF NOT EXISTS by_kind kind TYPE set(10);
    ALTER TABLE one UPDATE note = 'x' WHERE note = ''`,
  ),
  file(
    '3',
    `ALTER TABLE one RENAME COLUMN IF EXISTS kind TO sort;
    DROP TABLE IF EXISTS old; CREATE VIEW IF NOT EXISTS notes AS SELECT note FROM one`,
  ),
]

test('killed at any request of three files, a repeat ends with ledger = tables', async () => {
  const whole = tenant(server)
  let requests = 0
  const counted: Link = {
    ...server,
    rows: (sql, call) => server.rows<never>(sql, call).finally(() => requests++),
    run: (sql, call) => server.run(sql, call).finally(() => requests++),
  }
  expect((await whole.apply({ files: FILES }, {}, counted)).failed).toBeUndefined()
  const columns = await whole.columns()
  expect(columns).toEqual(['notes.note', 'one.id', 'one.note', 'one.sort'])
  expect(requests).toBeGreaterThan(12)
  for (let at = 1; at <= requests; at++) {
    const t = tenant(server)
    expect((await t.apply({ files: FILES }, {}, dying(server, at))).failed, `request ${at}`).toBeDefined()
    expect((await t.apply({ files: FILES })).failed?.error.message, `request ${at}`).toBeUndefined()
    expect(await t.columns(), `request ${at}`).toEqual(columns)
    expect(await t.diff({ files: FILES }), `request ${at}`).toEqual([])
    const done = (await t.history()).filter((row) => row.done)
    const last = new Map(done.map((row) => [row.version, row]))
    expect([...last.values()].map(({ made, dropped }) => ({ made, dropped }))).toEqual([
      { made: ['old', 'one'], dropped: [] },
      { made: [], dropped: [] },
      { made: ['notes'], dropped: ['old'] },
    ])
  }
}, 300_000)
