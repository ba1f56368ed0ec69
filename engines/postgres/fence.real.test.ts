import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshPostgres, freshSuffix } from '../../test/support/stack.ts'
import type { Connection, SessionOptions } from '../model.ts'
import { withClient } from './connection.ts'
import { postgres } from './engine.ts'
import { lockKey } from './lock-key.ts'
import {
  byHand,
  databaseWish,
  freshShard,
  make,
  OPTIONS,
  type PgSession,
  planOf,
  signal,
  sqlFile,
  type Wish,
} from './testing/lab.ts'

function session(admin: Connection, options: Partial<SessionOptions>): PgSession {
  const made = postgres.connect(admin, { ...OPTIONS, ...options })
  onTestFinished(() => made.close())
  return made
}

/** The code of the failure, or `done`. */
async function outcome(by: PgSession, wish: Wish, wanted = wish.wanted): Promise<string> {
  const changes = await planOf(by, wish, wanted)
  const { failed } = await by.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
  return failed?.error.code ?? 'done'
}

const stored = (admin: Connection): Promise<readonly object[]> =>
  byHand(admin, 'SELECT fence, epoch::int8::text AS epoch FROM tenantry_fence.stored ORDER BY 1')

const fenceOf = async (admin: Connection): Promise<unknown> =>
  (await byHand(admin, `SELECT to_regnamespace('tenantry_fence')::text AS fence`))[0]

/** Waits until somebody waits for, or holds, an advisory lock in that way. */
async function lockSeen(admin: Connection, condition: string): Promise<void> {
  const look = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND ${condition}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
  await expect.poll(() => byHand(admin, look), { interval: 20, timeout: 20_000 }).not.toEqual([])
}

const SLOW = sqlFile('1', 'CREATE TABLE slow (id int); SELECT pg_sleep(1.5);')
const NEXT = sqlFile('2', 'CREATE TABLE next (id int);')

describe('the fence of Postgres', () => {
  test('is made by the first batch of an empty shard, and says to a refused one which epoch took its place', async () => {
    const admin = await freshPostgres()
    const [four, five] = [session(admin, { epoch: () => 4 }), session(admin, { epoch: () => 5 })]
    const wish = databaseWish('Schema', { name: `db-${freshSuffix()}` })
    expect(await outcome(four, wish)).toBe('done')
    expect(await stored(admin)).toEqual([{ fence: 'lab', epoch: '4' }])
    expect(await outcome(five, wish, [])).toBe('done')
    // The fence outlives the control schema, which went with its Database.
    expect(await stored(admin)).toEqual([{ fence: 'lab', epoch: '5' }])
    const changes = await planOf(four, wish)
    const { done, failed } = await four.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    expect(done).toEqual([])
    expect(failed?.error).toMatchObject({
      code: 'Fenced',
      message: expect.stringContaining('epoch 4 of lab is over, since epoch 5 writes to this server'),
    })
  })

  test('is that of the installation, unless it has a name of its own, and none without an epoch', async () => {
    const { admin, session: free, database } = await freshShard('Schema')
    expect(await fenceOf(admin)).toEqual({ fence: null })
    const fence = `o'Brien"; DROP SCHEMA public -- \\ $$`
    expect(await outcome(session(admin, { epoch: () => 1_800_000_000_000 }), database, [])).toBe('done')
    expect(await outcome(session(admin, { epoch: () => 1, fence }), database)).toBe('done')
    expect(await outcome(session(admin, { epoch: () => 2, installation: 'other' }), database, [])).toBe('done')
    expect(await outcome(free, database)).toBe('done')
    expect(await stored(admin)).toEqual(
      expect.arrayContaining([
        { fence: 'lab', epoch: '1800000000000' },
        { fence, epoch: '1' },
        { fence: 'other', epoch: '2' },
      ]),
    )
  })

  test('is left alone by looking, by health and by a batch without changes', async () => {
    const { admin, database } = await freshShard('Schema')
    const by = session(admin, { epoch: () => 7 })
    await by.observe('all', signal)
    const { tables } = await by.health(signal)
    expect(await outcome(by, database)).toBe('done')
    expect(await fenceOf(admin)).toEqual({ fence: null })
    expect(await outcome(by, database, [])).toBe('done')
    expect(await by.health(signal)).toMatchObject({ tables })
  })

  test('lets many batches of a new epoch begin at once', async () => {
    const { admin, tenant } = await freshShard('Schema')
    const by = session(admin, { epoch: () => 4 })
    const wishes = Array.from({ length: 8 }, (_, n) => tenant(`t${n}`))
    expect(new Set(await Promise.all(wishes.map((wish) => outcome(by, wish))))).toEqual(new Set(['done']))
    expect(await stored(admin)).toEqual([{ fence: 'lab', epoch: '4' }])
  })

  test.each(['Schema', 'Database'] as const)(
    'lets the transaction in flight end, and stops the rest of its batch (%s)',
    async (isolation) => {
      const { admin, tenant } = await freshShard(isolation)
      const [four, five] = [session(admin, { epoch: () => 4 }), session(admin, { epoch: () => 5 })]
      const [wish, other] = [tenant('acme'), tenant('other')]
      expect(await outcome(four, wish)).toBe('done')
      const { wanted } = tenant('acme', { ...wish.input, files: [SLOW, NEXT] })
      const old = outcome(four, wish, wanted)
      await lockSeen(admin, `mode = 'ShareLock' AND granted`)
      const young = outcome(five, other)
      await lockSeen(admin, `mode = 'ExclusiveLock' AND NOT granted`)
      expect(await old).toBe('Fenced')
      expect(await young).toBe('done')
      const left = await planOf(five, wish, wanted)
      expect(left.map(({ target }) => target.id)).toEqual([`migration/${wish.name}/2`])
      expect(await outcome(five, wish, wanted)).toBe('done')
    },
  )

  test('refuses work in a database of its own once the connection that keeps the fence is gone', async () => {
    const { admin, tenant } = await freshShard('Database')
    const four = session(admin, { epoch: () => 4 })
    const wish = tenant('acme')
    expect(await outcome(four, wish)).toBe('done')
    const { wanted } = tenant('acme', { ...wish.input, files: [SLOW] })
    const old = outcome(four, wish, wanted)
    await lockSeen(admin, `mode = 'ShareLock' AND granted`)
    await expect
      .poll(() =>
        byHand(admin, `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1.5)%' AND datname = '${wish.name}'`),
      )
      .not.toEqual([])
    await byHand(
      admin,
      `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND l.mode = 'ShareLock' AND d.datname = current_database()`,
    )
    expect(await old).toBe('Fenced')
    expect((await planOf(four, wish, wanted)).map(({ target }) => target.kind)).toEqual(['Migration'])
    expect(await outcome(four, wish, wanted)).toBe('done')
  })

  test('is not kept for long by a process that was paused in the middle of a transaction', async () => {
    const admin = await freshPostgres()
    const times = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 }
    const rows = await withClient({ connection: admin, times }, 'look at settings', signal, async (client) => {
      const setting = `SELECT current_setting('idle_in_transaction_session_timeout') AS idle`
      return (await client.query(setting)).rows
    })
    expect(rows).toEqual([{ idle: '10s' }])
  })

  test('takes a SQL file that pretends to be fenced for one that failed', async () => {
    const { admin, tenant } = await freshShard('Schema')
    const body = `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'TN001', MESSAGE = 'step down'; END $$`
    const by = session(admin, { epoch: () => 4 })
    expect(await outcome(by, tenant('acme', { files: [sqlFile('1', body)] }))).toBe('MigrationFailed')
  })

  test('refuses an epoch that is none, and holds up nobody who is not fenced', async () => {
    const { admin, session: free, tenant } = await freshShard('Schema')
    const wish = tenant('acme')
    for (const epoch of [Number.NaN, 0, -1, 1.5]) {
      expect(await outcome(session(admin, { epoch: () => epoch }), wish)).toBe('Internal')
    }
    await make(free, wish)
  })

  test('waits only so long for a transaction that does not end, and is raised at the next attempt', async () => {
    const { admin, database } = await freshShard('Schema')
    expect(await outcome(session(admin, { epoch: () => 4 }), database, [])).toBe('done')
    const { host, port, username: user, password, database: name } = admin
    const old = new Client({ host, port, user, password, database: name })
    await old.connect()
    const five = session(admin, { epoch: () => 5 })
    const plan = await planOf(five, database)
    await old.query(`BEGIN; SELECT pg_advisory_xact_lock_shared(${lockKey('fence/lab')})`)
    const { failed } = await five.apply({ owner: database.owner, changes: plan, secrets: database.secrets }, signal)
    expect(failed?.error.code).toBe('LockTimeout')
    expect(await stored(admin)).toEqual([{ fence: 'lab', epoch: '4' }])
    await old.end()
    expect(await outcome(five, database)).toBe('done')
  })
})
