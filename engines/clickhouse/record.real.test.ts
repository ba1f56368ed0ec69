import { afterAll, expect, test } from 'vitest'
import type { MigrationFile } from '../model.ts'
import { type Link, openLink } from './client.ts'
import { ensureControl } from './control.ts'
import { identifier } from './quote.ts'
import { openRecorder } from './record.ts'
import { freshTenant, HOSTILE, OPTIONS, rawClient, serverUnderTest } from './testing/server.ts'
import { file } from './testing/subjects.ts'

const signal = AbortSignal.timeout(300_000)
const connection = serverUnderTest()
const raw = rawClient(connection)
const link = openLink(connection, OPTIONS)

afterAll(async () => {
  await link.close()
  await raw.close()
})

const RUN = { id: 'run-1', by: `o'Brien \\` }

async function database(...tables: readonly string[]): Promise<string> {
  const { name } = freshTenant()
  await raw.run(`CREATE DATABASE ${identifier(name)}`)
  for (const table of tables)
    await raw.run(`CREATE TABLE ${identifier(name)}.${identifier(table)} (a UInt8) ENGINE = Memory`)
  return name
}

test('outcomes that wait are written by one insert for each file, each with its own tables, and refused alone', async () => {
  await ensureControl(link, { signal })
  let requests = 0
  const counted: Link = {
    ...link,
    run: (sql, call) => {
      requests++
      return link.run(sql, call)
    },
  }
  const record = openRecorder(counted)
  const [two, none, gone, other, refused] = [
    await database('b', `a'\\"`),
    await database(),
    freshTenant().name,
    await database('c'),
    await database('d'),
  ]
  const [first, second] = [file('0001', HOSTILE, HOSTILE), file('0002', 'x')]
  const entry = (name: string, of: MigrationFile, condition = '1') =>
    record({ run: { database: name, file: of, installation: 'x', by: RUN }, condition, ms: of.body.length }, signal)
  const done = await Promise.allSettled([
    ...[two, none, gone].map((name) => entry(name, first)),
    entry(other, second),
    entry(refused, first, 'throwIf(1) = 0'),
  ])
  expect(done.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected'])
  expect(requests).toBe(3)
  const rows = await raw.rows<{ database: string }>(
    `SELECT l.database AS database, l.version AS version, l.name AS name, body, done, made, before, dropped, event, run,
      run_by AS runBy, toUInt32(ms) AS ms, applied_by AS who, database_uuid = d.uuid AS known
    FROM tenantry.ledger AS l INNER JOIN system.databases AS d ON d.name = l.database
    WHERE l.database IN {names:Array(String)}`,
    { names: [two, none, gone, other, refused] },
  )
  const row = { done: true, before: [], dropped: [], who: 'x', known: 1, event: 'apply', run: RUN.id, runBy: RUN.by }
  const of = ({ version, name, body }: MigrationFile) => ({ ...row, version, name, body, ms: body.length })
  expect(new Map(rows.map((r) => [r.database, r]))).toEqual(
    new Map([
      [two, { ...of(first), database: two, made: [`a'\\"`, 'b'] }],
      [none, { ...of(first), database: none, made: [] }],
      [other, { ...of(second), database: other, made: ['c'] }],
    ]),
  )
  for (const name of [two, none, other, refused]) await raw.run(`DROP DATABASE ${identifier(name)} SYNC`)
})
