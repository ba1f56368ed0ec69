import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { freshSuffix } from '../../test/support/stack.ts'
import type { Session, SessionOptions } from '../model.ts'
import { applyAll } from './apply.ts'
import { type Link, openLink } from './client.ts'
import { type ChResource, type ChSnapshot, clickhouse } from './engine.ts'
import { fencedLink, openFence } from './fence.ts'
import { openRecorder } from './record.ts'
import type { Slots } from './slots.ts'
import { batch, operate, ownDatabase } from './testing/operate.ts'
import { freshTenant, OPTIONS, rawClient, serverUnderTest, type TestTenant } from './testing/server.ts'
import { file } from './testing/subjects.ts'

const signal = AbortSignal.timeout(300_000)
const connection = serverUnderTest()
const raw = rawClient(connection)

afterAll(() => raw.close())

function session(options: Partial<SessionOptions>): Session<ChResource, ChSnapshot> {
  const made = clickhouse.connect(connection, { ...OPTIONS, ...options })
  onTestFinished(() => made.close())
  return made
}

function link(): Link {
  const made = openLink(connection, OPTIONS)
  onTestFinished(() => made.close())
  return made
}

const epochsOf = (fence: string): Promise<{ epoch: string }[]> =>
  raw.rows('SELECT toString(max(epoch)) AS epoch FROM tenantry.fence WHERE fence = {fence:String}', { fence })

const FILES = [
  file('0001', 'CREATE TABLE IF NOT EXISTS one (id UInt64) ENGINE = MergeTree ORDER BY id'),
  file('0002', 'CREATE TABLE IF NOT EXISTS two (id UInt64) ENGINE = MergeTree ORDER BY id'),
]

async function outcome(by: Session<ChResource, ChSnapshot>, t: TestTenant, wanted: readonly ChResource[]) {
  const { failed } = await by.apply(batch(t, await operate(by, signal).diff(t, wanted)), signal)
  return failed?.error.code ?? 'done'
}

describe('the fence of ClickHouse', () => {
  test('stores the epoch of the writer, and says to a refused one which epoch took its place', async () => {
    const fence = `o'${freshSuffix()}`
    const [four, five] = [session({ fence, epoch: () => 4 }), session({ fence, epoch: () => 5 })]
    const [a, b] = [freshTenant(), freshTenant()]
    expect(await outcome(four, a, ownDatabase(a, FILES))).toBe('done')
    expect(await epochsOf(fence)).toEqual([{ epoch: '4' }])
    expect(await outcome(five, b, ownDatabase(b, FILES))).toBe('done')
    expect(await epochsOf(fence)).toEqual([{ epoch: '5' }])
    const { done, failed } = await four.apply(batch(a, await operate(four, signal).diff(a, [])), signal)
    expect(done).toEqual([])
    expect(failed?.error).toMatchObject({
      code: 'Fenced',
      message: expect.stringContaining(`epoch 4 of ${fence} is over`),
    })
    for (const t of [a, b]) expect(await outcome(five, t, [])).toBe('done')
  })

  test('is that of the installation, unless it has a name of its own, and none without an epoch', async () => {
    const installation = `test-${freshSuffix()}`
    const t = freshTenant()
    expect(await outcome(session({ installation }), t, ownDatabase(t, []))).toBe('done')
    expect(await epochsOf(installation)).toEqual([{ epoch: '0' }])
    expect(await outcome(session({ installation, epoch: () => 1_800_000_000_000 }), t, [])).toBe('done')
    expect(await epochsOf(installation)).toEqual([{ epoch: '1800000000000' }])
    expect(await outcome(session({ installation: `${installation}2`, epoch: () => 1 }), t, ownDatabase(t, []))).toBe(
      'done',
    )
    expect(await outcome(session({ installation }), t, [])).toBe('done')
  })

  test('is left alone by looking, by health and by a batch without changes', async () => {
    const fence = `test-${freshSuffix()}`
    const by = session({ fence, epoch: () => 7 })
    const t = freshTenant()
    await by.health(signal)
    await by.observe('all', signal)
    expect(await outcome(by, t, [])).toBe('done')
    expect(await epochsOf(fence)).toEqual([{ epoch: '0' }])
  })

  test.each([
    { at: 1, where: 'before its first statement', done: 0, tables: 0 },
    { at: 2, where: 'with its first statement on the way, which is the last', done: 1, tables: 0 },
    { at: 3, where: 'before the first statement of a SQL file', done: 1, tables: 0 },
    { at: 4, where: 'with a statement of a SQL file on the way, which is the last', done: 1, tables: 1 },
    { at: 5, where: 'before the outcome of a SQL file is written', done: 1, tables: 1 },
    { at: 6, where: 'before it looks at the second SQL file', done: 2, tables: 1 },
    { at: 7, where: 'before the intent of the second SQL file is written', done: 2, tables: 1 },
    { at: 8, where: 'with a statement of the second SQL file on the way, which is the last', done: 2, tables: 2 },
    { at: 9, where: 'before the outcome of the second SQL file is written', done: 2, tables: 2 },
  ])('stops a batch of an older epoch $where', async ({ at, done, tables }) => {
    const stamp = { fence: `test-${freshSuffix()}`, epoch: 4 }
    const five = session({ fence: stamp.fence, epoch: () => 5 })
    const [t, other] = [freshTenant(), freshTenant()]
    const changes = await operate(five, signal).diff(t, ownDatabase(t, FILES))
    await openFence(link(), stamp).ready({ doing: 'begin', signal })
    let requests = 0
    const interrupted = (inner: Link): Link => {
      const before = async (): Promise<void> => {
        if (++requests === at) expect(await outcome(five, other, ownDatabase(other, []))).toBe('done')
      }
      return {
        rows: async (sql, call) => before().then(() => inner.rows<never>(sql, call)),
        run: async (sql, call) => before().then(() => inner.run(sql, call)),
        close: inner.close,
      }
    }
    const own = interrupted(link())
    const context = {
      link: fencedLink(own, openFence(own, stamp)),
      record: openRecorder(own),
      ...{ admin: 'default', accessControl: false, installation: 'x', replicaSets: [], waitMs: 1_000, signal },
    }
    const applied = await applyAll(context, batch(t, changes))
    expect([applied.done.length, applied.failed?.error.code]).toEqual([done, 'Fenced'])
    const count = 'SELECT count() FROM system.tables WHERE database = {name:String}'
    expect(await raw.count(count, { name: t.name })).toBe(tables)
    expect(await outcome(five, t, ownDatabase(t, FILES))).toBe('done')
    for (const made of [t, other]) expect(await outcome(five, made, [])).toBe('done')
  })

  test('does not act on an answer that came late: it asks again, and then sees who took over', async () => {
    const stamp = { fence: `test-${freshSuffix()}`, epoch: 4 }
    const five = session({ fence: stamp.fence, epoch: () => 5 })
    const t = freshTenant()
    const own = link()
    const call = { doing: 'drop it all', signal }
    await openFence(own, stamp).ready(call)
    let looks = 0
    // As if the process had been stopped after the server answered: the other leader comes meanwhile.
    const paused: Link = {
      ...own,
      rows: async (sql, call) => {
        const rows = await own.rows<never>(sql, call)
        if (++looks > 1) return rows
        expect(await outcome(five, t, ownDatabase(t, []))).toBe('done')
        await new Promise((resolve) => setTimeout(resolve, 1_100))
        return rows
      },
    }
    const fenced = fencedLink(paused, openFence(paused, stamp))
    expect(await fenced.row('SELECT 1 AS one', call)).toMatchObject({ one: 1 })
    await expect(fenced.run('SELECT throwIf(1)', call)).rejects.toMatchObject({ code: 'Fenced' })
    expect(looks).toBe(2)
    expect(await outcome(five, t, [])).toBe('done')
  })

  test('does not act on an answer that grew old while the statement waited for its place', async () => {
    const stamp = { fence: `test-${freshSuffix()}`, epoch: 4 }
    const five = session({ fence: stamp.fence, epoch: () => 5 })
    const t = freshTenant()
    const own = link()
    const fence = openFence(own, stamp)
    const late: Slots = async (work) => {
      expect(await outcome(five, t, ownDatabase(t, []))).toBe('done')
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      return work()
    }
    const fenced = fencedLink(own, fence, late)
    const call = { doing: 'drop it all', signal }
    await expect(fenced.run('SELECT throwIf(1)', call)).rejects.toMatchObject({ code: 'Fenced' })
    expect(await outcome(five, t, [])).toBe('done')
  })

  test('lets each answer admit one statement, be it of a look, of a read or of an insert', async () => {
    const stamp = { fence: `test-${freshSuffix()}`, epoch: 4 }
    const [own, sent] = [link(), [] as string[]]
    const counted: Link = {
      rows: (sql, call) => {
        sent.push('read')
        return own.rows(sql, call)
      },
      run: (sql, call) => {
        sent.push('write')
        return own.run(sql, call)
      },
      close: own.close,
    }
    const fenced = fencedLink(counted, openFence(counted, stamp))
    const call = { doing: 'test', signal }
    const table = `default.fenced_${freshSuffix()}`
    const sentBy = async (work: Promise<unknown>): Promise<string[]> => {
      await work
      return sent.splice(0)
    }
    const create = `CREATE TABLE IF NOT EXISTS ${table} (a UInt8) ENGINE = MergeTree ORDER BY a`
    expect(await sentBy(fenced.run(create, call))).toEqual(['read', 'write', 'read', 'write'])
    expect(await sentBy(fenced.run(create, call))).toEqual(['read', 'write'])
    expect(await sentBy(fenced.row('SELECT 1', call))).toEqual(['read'])
    expect(await sentBy(fenced.run(create, call))).toEqual(['write'])
    expect(await sentBy(fenced.run(create, call))).toEqual(['read', 'write'])
    expect(await sentBy(fenced.insert(`INSERT INTO ${table} SELECT 7`, call))).toEqual(['write'])
    expect(await sentBy(fenced.run(create, call))).toEqual(['write'])
    expect(await sentBy(fenced.row('SELECT 1 WHERE 0', call))).toEqual(['read'])
    expect(await sentBy(fenced.run(create, call))).toEqual(['read', 'write'])
    await raw.run(`ALTER TABLE tenantry.fence DELETE WHERE fence = '${stamp.fence}'`)
    const again = ['write', 'read', 'write', 'read', 'write']
    expect(await sentBy(fenced.insert(`INSERT INTO ${table} SELECT 8`, call))).toEqual(again)
    expect(await raw.rows(`SELECT a FROM ${table} ORDER BY a`)).toEqual([{ a: 7 }, { a: 8 }])
    await raw.run(`DROP TABLE ${table} SYNC`)
  })

  test('is raised again when somebody emptied it', async () => {
    const fence = `test-${freshSuffix()}`
    const by = session({ fence, epoch: () => 4 })
    const t = freshTenant()
    expect(await outcome(by, t, ownDatabase(t, []))).toBe('done')
    await raw.run(`ALTER TABLE tenantry.fence DELETE WHERE fence = '${fence}'`)
    expect(await outcome(by, t, [])).toBe('done')
    expect(await epochsOf(fence)).toEqual([{ epoch: '4' }])
  })
})
