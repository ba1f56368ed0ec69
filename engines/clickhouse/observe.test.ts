import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClickHouseError } from '@clickhouse/client'
import { Session } from 'chdb'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeMark } from '../mark.ts'
import type { Owner } from '../model.ts'
import type { Link } from './client.ts'
import { CONTROL, ensureControl } from './control.ts'
import { type Greeting, observe } from './observe.ts'
import { identifier, literal } from './quote.ts'

const signal = AbortSignal.timeout(300_000)
const noAccessControl = 'It keeps no users.'
const greeting: Greeting = { version: '25.8', user: 'default', latencyMs: 1, noAccessControl, replicaSets: [] }
const owner: Owner = { installation: `o'x"\\`, kind: 'Tenant', namespace: 'n', name: '漢', uid: 'u' }
const mark = encodeMark(owner)
const dir = mkdtempSync(join(tmpdir(), 'tenantry-observe-'))
let session: Session
let link: Link
let requests = 0

beforeAll(() => {
  session = new Session(dir)
  link = {
    rows: async <T>(sql: string, { params = {} }: { params?: Readonly<Record<string, unknown>> }) => {
      requests += 1
      try {
        const result = await session.queryBindAsync(sql, params, { format: 'JSON' })
        return result.json<{ data: readonly T[] }>().data
      } catch (error) {
        throw asServerError(error)
      }
    },
    run: async (sql) => void (await session.queryAsync(sql)),
    close: async () => session.close(),
  }
})

afterAll(() => {
  session?.close()
  rmSync(dir, { recursive: true, force: true })
})

function asServerError(error: unknown): unknown {
  const message = String(error)
  const code = /Code: (\d+)/.exec(message)?.[1]
  return code === undefined ? error : new ClickHouseError({ code, message, type: 'TYPE' })
}

const HOSTILE = `t_o'\\"{"a":1}\n漢`

test('reads databases and tables where nothing is remembered, and everything in one query where something is', async () => {
  await link.run(`CREATE DATABASE ${identifier(HOSTILE)} COMMENT ${literal(mark)}`, { doing: 'x', signal })
  const events = `${identifier(HOSTILE)}.events`
  await link.run(
    `CREATE TABLE ${events} (a UInt8, b String) ENGINE = MergeTree ORDER BY (a, b) COMMENT ${literal(HOSTILE)}`,
    {
      doing: 'x',
      signal,
    },
  )
  const before = await observe(link, 'all', greeting, signal)
  const database = before.databases.get(HOSTILE)
  expect(database).toEqual({ name: HOSTILE, comment: mark, uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) })
  const table = { database: HOSTILE, name: 'events', engine: 'MergeTree', comment: HOSTILE, sortingKey: 'a, b' }
  expect(before.tables.get(HOSTILE)).toEqual([table])
  expect([before.registry.size, before.ledger.size, before.owned.size]).toEqual([0, 0, 1])
  expect(before).toMatchObject({ admin: 'default', noAccessControl: 'It keeps no users.' })

  await ensureControl(link, { signal })
  const say = (sql: string): Promise<void> => link.run(sql, { doing: 'x', signal })
  const [id, base, uuid] = [`rows/${HOSTILE}`, HOSTILE, database?.uuid ?? ''].map(literal)
  await say(`INSERT INTO ${CONTROL}.registry SELECT ${id}, ${base}, ${literal(mark)}, 'new', 2`)
  await say(`INSERT INTO ${CONTROL}.registry SELECT ${id}, ${base}, 'old', 'old', 1`)
  const into = `INSERT INTO ${CONTROL}.ledger (database, database_uuid, version, checksum, made, dropped, done, seq)`
  await say(`${into} SELECT ${base}, ${uuid}, '1', 'b', ['events', ${base}], ['x'], true, 2`)
  await say(`${into} SELECT ${base}, ${uuid}, '1', 'a', [], [], true, 1`)
  await say(`${into} SELECT ${base}, ${uuid}, '2', 'a', [], [], false, 3`)
  requests = 0
  for (const scope of ['all', [HOSTILE]] as const) {
    const found = await observe(link, scope, greeting, signal)
    expect(found.databases.get(HOSTILE)).toEqual(database)
    expect(found.tables.get(HOSTILE)).toEqual([table])
    const entry = { id: `rows/${HOSTILE}`, base: HOSTILE, detail: 'new', rawMark: mark, mark: { ...owner, facts: {} } }
    expect([...found.registry.values()]).toEqual([entry])
    const run = { database: HOSTILE, uuid: database?.uuid, version: '1', checksum: 'b' }
    expect(found.ledger.get(HOSTILE)).toEqual([{ ...run, made: ['events', HOSTILE], dropped: ['x'] }])
    expect([...found.owned.values()]).toEqual([{ databases: [database], entries: [entry] }])
  }
  expect(requests).toBe(2)
  const others = await observe(link, ['t_other'], greeting, signal)
  expect([others.databases.size, others.tables.size, others.registry.size, others.ledger.size]).toEqual([0, 0, 0, 0])
})
