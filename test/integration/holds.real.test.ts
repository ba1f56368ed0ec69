import type { Connection } from '@tenantry/engines/model.ts'
import { objectName } from '@tenantry/engines/names.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import type { Client } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { clickhouseAs, makeTenant, place, postgresAs, READY, redisAs } from '../support/platform.ts'
import { useStack } from '../support/stack.ts'
import { clickhouseTier, on, postgresTier, redisTier, tracesIn } from '../support/tiers.ts'
import { annotate, getTenant, madeSecrets, removeTenant, resyncs, untilGone, untilSays } from '../support/watching.ts'

const HASH = /^[0-9a-f]{16}$/
const AWAITING = { type: 'Ready', status: 'False', reason: 'AwaitingApproval' } as const
const PAUSED = { type: 'Held', status: 'True', reason: 'Paused' } as const

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator({ TENANTRY_CONNECT_TIMEOUT_MS: '2000' })
})

function baseName(tenant: string, database: string): string {
  return objectName({ namespace: op.namespace, name: tenant }, { namespace: op.namespace, name: database })
}

describe('mode Plan', () => {
  test('shows what would be made in each engine and makes none of it, until the mode is Enforce', async () => {
    const tiers = [
      await postgresTier(op, 'plan-sql', { mode: 'Plan' }),
      await redisTier(op, 'plan-cache', { mode: 'Plan' }),
      await clickhouseTier(op, 'plan-olap', { mode: 'Plan' }),
    ] as const
    await op.applyTenant({ name: 'planned', spec: on('plan-sql', 'plan-cache', 'plan-olap') })
    const only = { type: 'Ready', status: 'False', reason: 'PlanOnly' } as const
    await until('the plan to cover all three engines', async () => {
      const { status } = await untilCondition(op, TENANTS, 'planned', { condition: only })
      const engines = new Set(status?.plan?.changes?.map(({ engine }) => engine))
      expect([...engines].toSorted()).toEqual(['ClickHouse', 'PostgreSQL', 'Redis'])
    })
    const { status } = await getTenant(op, 'planned')
    expect(status?.plan?.hash).toMatch(HASH)
    expect(status?.plan?.held).toBe(status?.plan?.total)
    for (const { summary, held } of status?.plan?.changes ?? []) {
      expect(held).toBe('PlanOnly')
      expect(summary).toMatch(/^(create|alter) /)
      expect(summary).not.toMatch(/password|scram|sha256/i)
    }

    await resyncs(op, 2)
    const later = await getTenant(op, 'planned')
    expect(later.status?.plan).toEqual(status?.plan)
    expect(await madeSecrets(op)).toEqual([])
    const admin = await postgresAs(tiers[0].postgres)
    expect(await tracesIn(admin, baseName('planned', 'plan-sql'))).toEqual([])
    expect((await admin.query(`select from pg_namespace where nspname = 'tenantry'`)).rows).toEqual([])
    const redis = await redisAs(useStack().redis)
    expect(await redis.call('ACL', 'GETUSER', baseName('planned', 'plan-cache'))).toBeNull()
    const databases = await clickhouseAs(useStack().clickhouse).query({ query: 'SHOW DATABASES' })
    expect(await databases.text()).not.toContain(baseName('planned', 'plan-olap'))

    for (const { change } of tiers) await change({ mode: 'Enforce' })
    const ready = await untilCondition(op, TENANTS, 'planned', { condition: READY })
    expect(ready.status?.plan).toBeUndefined()
    const sql = await postgresAs(await op.secret('planned-plan-sql'))
    await sql.query(`insert into notes values ('done')`)
    await (await redisAs(await op.secret('planned-plan-cache'))).ping()
  })
})

describe('approval', () => {
  test('Destructive lets the logins go at once and the data only when exactly that plan is approved', async () => {
    const { postgres } = await postgresTier(op, 'careful-sql', { approval: 'Destructive' })
    await redisTier(op, 'careful-cache', { approval: 'Destructive' })
    const tenant = await makeTenant(op, 'precious', on('careful-sql', 'careful-cache'))
    const [login, cacheLogin] = [await op.secret('precious-careful-sql'), await op.secret('precious-careful-cache')]
    await (await postgresAs(login)).query(`insert into notes values ('dear')`)
    const key = `${place(tenant, 'careful-cache').keyPrefix}k`
    await (await redisAs(cacheLogin)).set(key, 'dear')

    await removeTenant(op, 'precious')
    const waiting = await untilCondition(op, TENANTS, 'precious', { condition: AWAITING })
    const hash = waiting.status?.plan?.hash ?? ''
    expect(hash).toMatch(HASH)
    const ready = waiting.status?.conditions?.find(({ type }) => type === 'Ready')
    expect(ready?.message).toContain(`tenantry.dev/approved=${hash}`)
    expect(waiting.status?.plan?.changes).toContainEqual(
      expect.objectContaining({ op: 'drop', risk: 'destructive', held: 'AwaitingApproval' }),
    )
    await expect(postgresAs(login)).rejects.toThrow()
    await expect(redisAs(cacheLogin).then((cache) => cache.ping())).rejects.toThrow()

    await annotate(op, TENANTS, 'precious', { approved: 'f00dfeedf00dfeed' })
    await resyncs(op, 2)
    const still = await getTenant(op, 'precious')
    expect(still.status?.plan?.hash).toBe(hash)
    const [admin, redis] = [await postgresAs(postgres), await redisAs(useStack().redis)]
    const { schema = '' } = place(tenant, 'careful-sql')
    expect((await admin.query(`select text from "${schema}".notes`)).rows).toEqual([{ text: 'dear' }])
    expect(await redis.get(key)).toBe('dear')

    await annotate(op, TENANTS, 'precious', { approved: hash })
    await untilGone(op, 'precious')
    expect(await tracesIn(admin, schema)).toEqual([])
    expect(await redis.get(key)).toBeNull()
  })

  test('a removed entry whose data waits for an approval keeps its Secret in mind, which goes with the data', async () => {
    await redisTier(op, 'kept-cache')
    await redisTier(op, 'slow-cache', { approval: 'Destructive' })
    await makeTenant(op, 'leaver', on('kept-cache', 'slow-cache'))
    await op.applyTenant({ name: 'leaver', spec: on('kept-cache') })
    const waiting = await untilCondition(op, TENANTS, 'leaver', { condition: AWAITING })
    expect(place(waiting, 'slow-cache').secretName).toBe('leaver-slow-cache')
    await annotate(op, TENANTS, 'leaver', { approved: waiting.status?.plan?.hash ?? '' })
    await untilCondition(op, TENANTS, 'leaver', { condition: READY })
    await until('its Secret to go', async () => expect(await op.secret('leaver-slow-cache')).toEqual({}))
  })

  test('All holds even a creation, of the Database and of its tenants, until each plan is approved', async () => {
    const { postgres } = await postgresTier(op, 'strict', { approval: 'All' })
    const database = await untilCondition(op, DATABASES, 'strict', { condition: AWAITING })
    await annotate(op, DATABASES, 'strict', { approved: database.status?.plan?.hash ?? '' })
    await untilCondition(op, DATABASES, 'strict', { condition: READY })

    await op.applyTenant({ name: 'asked', spec: on('strict') })
    const asked = await untilCondition(op, TENANTS, 'asked', { condition: AWAITING })
    await resyncs(op, 2)
    const admin = await postgresAs(postgres)
    expect(await tracesIn(admin, baseName('asked', 'strict'))).toEqual([])
    await annotate(op, TENANTS, 'asked', { approved: asked.status?.plan?.hash ?? '' })
    await untilCondition(op, TENANTS, 'asked', { condition: READY })
    await (await postgresAs(await op.secret('asked-strict'))).query('select * from notes')
  })
})

describe('the pause annotation', () => {
  let postgres: Connection

  beforeAll(async () => {
    ;({ postgres } = await postgresTier(op, 'plain'))
    await untilCondition(op, DATABASES, 'plain', { condition: READY })
  })

  test('on a Tenant stops repair and deletion of that Tenant alone, and everything goes on without it', async () => {
    const [paused, lively] = await Promise.all([
      makeTenant(op, 'paused', on('plain')),
      makeTenant(op, 'lively', on('plain')),
    ])
    const admin = await postgresAs(postgres)
    const [a, b] = [place(paused, 'plain').schema ?? '', place(lively, 'plain').schema ?? '']
    await annotate(op, TENANTS, 'paused', { paused: 'true' })
    await untilSays(op, 'paused', PAUSED)
    await damage(admin, a)
    // A sibling that is put right after it was damaged proves that a resync has come by.
    await damage(admin, b)
    await untilWhole(admin, b)
    await damage(admin, b)
    await untilWhole(admin, b)
    expect(await isWhole(admin, a)).toBe(false)

    await annotate(op, TENANTS, 'paused', { paused: null })
    await untilWhole(admin, a)
    await until('nothing to be held', async () => {
      expect((await getTenant(op, 'paused')).status?.conditions?.map(({ type }) => type)).not.toContain('Held')
    })

    await annotate(op, TENANTS, 'paused', { paused: 'true' })
    await untilSays(op, 'paused', PAUSED)
    await removeTenant(op, 'paused')
    await damage(admin, b)
    await untilWhole(admin, b)
    await damage(admin, b)
    await untilWhole(admin, b)
    await (await postgresAs(await op.secret('paused-plain'))).query('select * from notes')

    await annotate(op, TENANTS, 'paused', { paused: null })
    await untilGone(op, 'paused')
    expect(await tracesIn(admin, a)).toEqual([])
  })

  test('on a Database stops everything for all its tenants, new ones too, and everything goes on without it', async () => {
    const tenant = await makeTenant(op, 'resident', on('plain'))
    const { schema = '' } = place(tenant, 'plain')
    const admin = await postgresAs(postgres)
    await annotate(op, DATABASES, 'plain', { paused: 'true' })
    await op.applyTenant({ name: 'newcomer', spec: on('plain') })
    await untilCondition(op, TENANTS, 'newcomer', { condition: PAUSED })
    await damage(admin, schema)
    await untilCondition(op, TENANTS, 'resident', { condition: { ...PAUSED, type: 'Held' } })
    await resyncs(op, 2)
    expect(await isWhole(admin, schema)).toBe(false)
    expect(await tracesIn(admin, baseName('newcomer', 'plain'))).toEqual([])
    expect(await madeSecrets(op)).not.toContain('newcomer-plain')

    await annotate(op, DATABASES, 'plain', { paused: null })
    await untilCondition(op, TENANTS, 'newcomer', { condition: READY })
    await untilCondition(op, TENANTS, 'resident', { condition: READY })
    await untilWhole(admin, schema)
  })
})

async function damage(admin: Client, schema: string): Promise<void> {
  await admin.query(`revoke usage on schema "${schema}" from "${schema}_rw"`)
}

async function isWhole(admin: Client, schema: string): Promise<boolean> {
  const { rows } = await admin.query(`select has_schema_privilege($1, $2, 'USAGE') as whole`, [`${schema}_rw`, schema])
  return rows[0].whole
}

async function untilWhole(admin: Client, schema: string): Promise<void> {
  await until(`schema ${schema} to be put right`, async () => expect(await isWhole(admin, schema)).toBe(true))
}
