import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Connection } from '../../model.ts'
import {
  asTenant,
  byHand,
  freshShard,
  make,
  planOf,
  type Shard,
  signal,
  sqlFile,
  type TenantWish,
} from '../testing/lab.ts'

const ORDERS = sqlFile('1', 'CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, note text);')
const PAID = sqlFile('2', 'ALTER TABLE orders ADD COLUMN paid boolean;')

async function connected({ host, port, username: user, password, database }: Connection, as: string): Promise<Client> {
  const client = new Client({ host, port, user, password, database, application_name: as })
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

/** Writes as the tenant until it is told to stop, and gives back how often; throws what a write is refused with. */
async function writeUntil(connection: Connection, stop: AbortSignal): Promise<number> {
  const client = await connected(connection, 'writer')
  let count = 0
  while (!stop.aborted) {
    await client.query(`INSERT INTO orders (note) VALUES ('x')`)
    count += 1
  }
  return count
}

describe('a lock that is held for long', () => {
  const begin = async (): Promise<{ shard: Shard; wish: TenantWish; holder: Client }> => {
    const shard = await freshShard('Schema')
    const wish = shard.tenant('locked', { files: [ORDERS] })
    await make(shard.session, wish)
    const holder = await connected(shard.admin, 'nightly report')
    await holder.query(`BEGIN; SELECT FROM "${wish.name}".orders`)
    return { shard, wish, holder }
  }
  const applyPaid = async ({ session, tenant }: Shard, wish: TenantWish, until: AbortSignal) => {
    const { wanted } = tenant('', { ...wish.input, files: [ORDERS, PAID] })
    const changes = await planOf(session, wish, wanted)
    return await session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, until)
  }

  test('is waited for in short attempts, which no client of the tenant fails by, and whoever holds it is named', async () => {
    const { shard, wish, holder } = await begin()
    const stop = new AbortController()
    const writing = writeUntil(asTenant(shard.admin, wish), stop.signal)
    const { failed } = await applyPaid(shard, wish, signal)
    const held = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    expect(failed?.error).toMatchObject({ code: 'LockTimeout', retry: 'backoff' })
    expect(failed?.error.message).toContain('apply SQL file 2.pg.sql')
    expect(failed?.error.message).toContain(
      `process ${held.rows[0]?.pid} (nightly report) has had AccessShareLock on orders`,
    )
    expect(failed?.error.message).toContain('other tenants go on')
    await holder.query('COMMIT')
    expect((await applyPaid(shard, wish, signal)).failed).toBeUndefined()
    stop.abort()
    expect(await writing).toBeGreaterThan(0)
    const rows = await byHand(
      shard.admin,
      `SELECT event, left(error, 5) AS state FROM tenantry.migration WHERE version = '2' ORDER BY seq`,
    )
    expect(rows).toEqual([
      { event: 'fail', state: '55P03' },
      { event: 'apply', state: null },
    ])
  })

  test('is not waited for any longer when the work is called off', async () => {
    const { shard, wish, holder } = await begin()
    const { failed } = await applyPaid(shard, wish, AbortSignal.timeout(1_000))
    expect(failed?.error.code).toBe('Timeout')
    await holder.query('COMMIT')
    expect((await applyPaid(shard, wish, signal)).failed).toBeUndefined()
  })
})
