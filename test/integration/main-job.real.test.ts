import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import {
  clickhouseAs,
  everywhere,
  makePlatform,
  makeTenant,
  type Platform,
  place,
  postgresAs,
  READY,
  redisAs,
} from '../support/platform.ts'
import { useStack } from '../support/stack.ts'
import { on, redisTier } from '../support/tiers.ts'

let op: TestOperator
let platform: Platform

beforeAll(async () => {
  op = await startTestOperator()
  platform = await makePlatform(op)
})

describe('a tenant over all three engines', () => {
  test('becomes ready with its tables, and its Secrets open its own data and nothing of another', async () => {
    const [acme, globex] = await Promise.all([makeTenant(op, 'acme'), makeTenant(op, 'globex')])
    expect(acme.status?.databasesReady).toBe('3/3')

    const sql = await postgresAs(await op.secret('acme-oltp'))
    await sql.query(`insert into customers (name) values ('Ann')`)
    expect((await sql.query('select name from customers')).rows).toEqual([{ name: 'Ann' }])
    const foreign = `"${place(globex, 'oltp').schema}".customers`
    await expect(sql.query(`select * from ${foreign}`)).rejects.toThrow(/permission denied/)

    const cache = await redisAs(await op.secret('acme-cache'))
    await cache.set(`${place(acme, 'cache').keyPrefix}greeting`, 'hello')
    expect(await cache.get(`${place(acme, 'cache').keyPrefix}greeting`)).toBe('hello')
    await expect(cache.get(`${place(globex, 'cache').keyPrefix}greeting`)).rejects.toThrow(/NOPERM/)

    const admin = clickhouseAs(useStack().clickhouse, place(acme, 'analytics').database)
    await admin.insert({ table: 'events', values: [{ at: 0, kind: 'click' }], format: 'JSONEachRow' })
    const events = await admin.query({ query: 'SELECT count() AS n FROM events', format: 'JSONEachRow' })
    expect(await events.json()).toEqual([{ n: 1 }])
  })

  test('says in its conditions what was proven and what the server cannot enforce', async () => {
    const tenant = await makeTenant(op, 'honest')
    const conditions = new Map(tenant.status?.conditions?.map((one) => [one.type, one]))
    expect(conditions.get('Isolated')).toMatchObject({ status: 'True', reason: 'Proven' })
    expect(conditions.get('Isolated')?.message).toMatch(/oltp: .*cache: /)
    expect(conditions.get('AccessControl')).toMatchObject({ status: 'False', reason: 'Unsupported' })
    expect(place(tenant, 'oltp')).toMatchObject({ ready: true, schemaVersion: '2', shard: 's0' })
    expect(place(tenant, 'oltp').credential).toMatch(/^[0-9a-f]{16}$/)
  })

  test('shows health and tenants of each shard in the status of its Database', async () => {
    await makeTenant(op, 'counted')
    await until('the shard to show its tenants', async () => {
      const database = await op.kube.get(DATABASES, { namespace: op.namespace, name: 'oltp' })
      expect(database?.status?.shards?.[0]).toMatchObject({
        name: 's0',
        state: 'Active',
        latency: expect.stringMatching(/^[<>]/),
      })
      expect(database?.status?.shards?.[0]?.tenants).toBeGreaterThan(0)
      expect(database?.status?.shards?.[0]?.version).toMatch(/16\./)
    })
  })
})

describe('drift', () => {
  test('in Postgres is repaired: a role dropped, a grant revoked, a default privilege changed', async () => {
    const tenant = await makeTenant(op, 'drift-pg')
    const { schema = '', login = '' } = place(tenant, 'oltp')
    const admin = await postgresAs(platform.postgres)
    await admin.query(`revoke usage on schema "${schema}" from "${schema}_rw"`)
    await admin.query(
      `alter default privileges for role "${schema}_owner" in schema "${schema}" revoke select on tables from "${schema}_rw"`,
    )
    await admin.query(`revoke all on all tables in schema "${schema}" from "${schema}_rw"`)
    await admin.query(`drop role "${login}"`)
    await until('the login to work again', async () => {
      const sql = await postgresAs(await op.secret('drift-pg-oltp'))
      await sql.query('select * from customers')
    })
    const { rows } = await admin.query(
      `select count(*)::int as n from pg_default_acl where defaclnamespace = $1::regnamespace`,
      [schema],
    )
    expect(rows[0].n).toBeGreaterThan(0)
  })

  test('in Redis is repaired: the user deleted', async () => {
    const tenant = await makeTenant(op, 'drift-redis')
    const admin = await redisAs(useStack().redis)
    await admin.call('ACL', 'DELUSER', place(tenant, 'cache').login ?? '')
    await until('the user to work again', async () => {
      const cache = await redisAs(await op.secret('drift-redis-cache'))
      await cache.ping()
    })
  })

  test('in ClickHouse is repaired: a table dropped, and the whole database dropped', async () => {
    const tenant = await makeTenant(op, 'drift-ch')
    const { database = '' } = place(tenant, 'analytics')
    const admin = clickhouseAs(useStack().clickhouse)
    const hasEvents = async () => {
      const found = await admin.query({
        query: `EXISTS TABLE {db:Identifier}.events`,
        query_params: { db: database },
        format: 'JSONEachRow',
      })
      expect(await found.json()).toEqual([{ result: 1 }])
    }
    await admin.command({ query: `DROP TABLE {db:Identifier}.events SYNC`, query_params: { db: database } })
    await until('the table to be back', hasEvents)
    await admin.command({ query: `DROP DATABASE {db:Identifier} SYNC`, query_params: { db: database } })
    await until('the database to be back', hasEvents)
  })

  test('of a Secret is repaired: deleted, or a value changed by hand', async () => {
    await makeTenant(op, 'drift-secret')
    await op.kube.remove(
      { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true },
      { namespace: op.namespace, name: 'drift-secret-oltp' },
    )
    await until('the new password to work', async () => {
      const sql = await postgresAs(await op.secret('drift-secret-oltp'))
      await sql.query('select 1')
    })
  })
})

describe('deletion', () => {
  test('under Delete leaves nothing behind in any engine', async () => {
    const tenant = await makeTenant(op, 'gone')
    const keep = await redisAs(await op.secret('gone-cache'))
    await keep.set(`${place(tenant, 'cache').keyPrefix}k`, 'v')
    await op.kube.remove(TENANTS, { namespace: op.namespace, name: 'gone' })
    await untilGone('gone')
    const admin = await postgresAs(platform.postgres)
    const base = place(tenant, 'oltp').schema
    const left = await admin.query(
      `select rolname from pg_roles where starts_with(rolname, $1) union all select nspname from pg_namespace where nspname = $1`,
      [base],
    )
    expect(left.rows).toEqual([])
    const redis = await redisAs(useStack().redis)
    expect(await redis.call('ACL', 'GETUSER', place(tenant, 'cache').login ?? '')).toBeNull()
    expect(await redis.keys(`${place(tenant, 'cache').keyPrefix}*`)).toEqual([])
    const databases = await clickhouseAs(useStack().clickhouse).query({
      query: 'SHOW DATABASES',
      format: 'JSONEachRow',
    })
    expect(JSON.stringify(await databases.json())).not.toContain(place(tenant, 'analytics').database)
  })

  test('under Retain keeps the data and no login, and a new Tenant of the name finds the data again', async () => {
    const tenant = await makeTenant(op, 'kept', everywhere('Retain'))
    const credentials = await op.secret('kept-oltp')
    const sql = await postgresAs(credentials)
    await sql.query(`insert into customers (name) values ('Ann')`)
    await op.kube.remove(TENANTS, { namespace: op.namespace, name: 'kept' })
    await untilGone('kept')
    await expect(postgresAs(credentials)).rejects.toThrow()
    const admin = await postgresAs(platform.postgres)
    const { schema = '' } = place(tenant, 'oltp')
    expect((await admin.query(`select name from "${schema}".customers`)).rows).toEqual([{ name: 'Ann' }])
    await until('the old Secret to be collected', async () => expect(await op.secret('kept-oltp')).toEqual({}))

    await makeTenant(op, 'kept', everywhere('Retain'))
    const again = await postgresAs(await op.secret('kept-oltp'))
    expect((await again.query('select name from customers')).rows).toEqual([{ name: 'Ann' }])
  })

  test('of one entry drops what it had and keeps the others', async () => {
    const tenant = await makeTenant(op, 'shrinks')
    const [oltp] = everywhere().databases
    await op.applyTenant({ name: 'shrinks', spec: { ...everywhere(), databases: oltp ? [oltp] : [] } })
    await untilCondition(op, TENANTS, 'shrinks', { condition: READY })
    const redis = await redisAs(useStack().redis)
    expect(await redis.call('ACL', 'GETUSER', place(tenant, 'cache').login ?? '')).toBeNull()
    await until('its Secret to go', async () => expect(await op.secret('shrinks-cache')).toEqual({}))
    const sql = await postgresAs(await op.secret('shrinks-oltp'))
    await sql.query('select 1')
  })

  test('of a Database waits for its tenants and says which', async () => {
    await redisTier(op, 'home')
    await op.applyTenant({ name: 'dweller', spec: on('home') })
    await untilCondition(op, TENANTS, 'dweller', { condition: READY })
    await op.kube.remove(DATABASES, { namespace: op.namespace, name: 'home' })
    const message = expect.stringMatching(/1 Tenants refer to it \(.*\/dweller\)/)
    await untilCondition(op, DATABASES, 'home', {
      condition: { type: 'Ready', status: 'False', reason: 'InUse', message },
    })
    await (await redisAs(await op.secret('dweller-home'))).ping()
    await op.kube.remove(TENANTS, { namespace: op.namespace, name: 'dweller' })
    await until('the Database to be gone', async () => {
      expect(await op.kube.get(DATABASES, { namespace: op.namespace, name: 'home' })).toBeUndefined()
    })
  })
})

describe('suspension', () => {
  test('blocks the logins, ends their sessions, keeps the data, and can be undone', async () => {
    await makeTenant(op, 'sleeper')
    const credentials = await op.secret('sleeper-oltp')
    const session = await postgresAs(credentials)
    await op.applyTenant({ name: 'sleeper', spec: { ...everywhere(), suspended: true } })
    await untilCondition(op, TENANTS, 'sleeper', { condition: { type: 'Suspended', status: 'True' } })
    await untilCondition(op, TENANTS, 'sleeper', { condition: { ...READY, reason: 'Suspended' } })
    await expect(session.query('select 1')).rejects.toThrow()
    await expect(postgresAs(credentials)).rejects.toThrow(/not permitted to log in/)
    await expect(redisAs(await op.secret('sleeper-cache')).then((redis) => redis.ping())).rejects.toThrow()
    await op.applyTenant({ name: 'sleeper', spec: everywhere() })
    await untilCondition(op, TENANTS, 'sleeper', { condition: { ...READY, reason: 'AllDatabasesReady' } })
    await postgresAs(credentials)
  })
})

async function untilGone(name: string): Promise<void> {
  await until(`Tenant ${name} to be gone`, async () => {
    expect(await op.kube.get(TENANTS, { namespace: op.namespace, name })).toBeUndefined()
  })
}
