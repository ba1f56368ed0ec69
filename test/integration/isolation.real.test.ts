import type { Condition } from '@tenantry/crds/conditions.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { fingerprint } from '@tenantry/engines/credential.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { SECRETS } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import type { Redis } from 'ioredis'
import type { Client } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { makeTenant, place, postgresAs, READY, redisAs, tables } from '../support/platform.ts'
import { freshPostgres, useStack } from '../support/stack.ts'
import { annotate, getTenant } from '../support/watching.ts'

let op: TestOperator
let postgres: Connection
let victim: Tenant
let intruder: Tenant

const spec = {
  deletionPolicy: 'Delete',
  databases: ['sql', 'cache'].map((name) => ({ name, databaseRef: { name } })),
} as const

beforeAll(async () => {
  op = await startTestOperator()
  postgres = await freshPostgres()
  await op.applySecret('sql', postgres)
  await op.applySecret('cache', useStack().redis)
  await op.applyFiles('sql', { '1_letters.sql': 'create table letters (text text);' })
  const shards = (name: string) => [{ name: 's0', connectionSecretRef: { name } }]
  const common = { interval: '1s' } as const
  await op.applyDatabase({
    name: 'sql',
    spec: { engine: 'PostgreSQL', isolation: 'Schema', ...common, shards: shards('sql'), ...tables('sql') },
  })
  await op.applyDatabase({
    name: 'cache',
    spec: { engine: 'Redis', isolation: 'Prefix', ...common, shards: shards('cache') },
  })
  const make = (name: string) => makeTenant(op, name, { ...spec, databases: [...spec.databases] })
  ;[victim, intruder] = await Promise.all([make('victim'), make('intruder')])
})

const condition = ({ status }: Tenant, type: string) => status?.conditions?.find((one) => one.type === type)

describe('the condition Isolated', () => {
  test('is true with the evidence of each engine', () => {
    const found = condition(victim, 'Isolated')
    expect(found).toMatchObject({ status: 'True', reason: 'Proven' })
    expect(found?.message).toMatch(/sql: no grant or membership lets anybody else in, over \d+ roles/)
    expect(found?.message).toMatch(/cache: t_victim_\w+: own key and channel patterns/)
  })

  test('rests on a real login: a new credential is tried before it counts as proven', async () => {
    for (const name of ['sql', 'cache']) {
      const before = place(await getTenant(op, 'victim'), name)
      expect(before.credential).toBe(
        fingerprint(before.login ?? '', (await op.secret(`victim-${name}`)).password ?? ''),
      )
      await op.kube.remove(SECRETS, { namespace: op.namespace, name: `victim-${name}` })
      await until('another credential to be proven', async () => {
        const { credential, login = '' } = place(await getTenant(op, 'victim'), name)
        expect(credential).not.toBe(before.credential)
        expect(credential).toBe(fingerprint(login, (await op.secret(`victim-${name}`)).password ?? ''))
      })
    }
    await untilCondition(op, TENANTS, 'victim', { condition: READY })
    await (await postgresAs(await op.secret('victim-sql'))).query('select * from letters')
    await (await redisAs(await op.secret('victim-cache'))).ping()
  })
})

interface Leak {
  readonly database: 'sql' | 'cache'
  /** Whose isolation is broken by it: the tenant that is read, or the one that reads. */
  readonly told: 'victim' | 'intruder'
  readonly names: RegExp
  readonly make: (admins: { sql: Client; cache: Redis }) => Promise<unknown>
}

const schemaOf = (tenant: Tenant) => place(tenant, 'sql').schema ?? ''

const LEAKS: Readonly<Record<string, Leak>> = {
  "a schema granted to another tenant's group": {
    database: 'sql',
    told: 'victim',
    names: /schema t_victim_\w+ is open to t_intruder_\w+_rw/,
    make: ({ sql }) => sql.query(`grant usage on schema "${schemaOf(victim)}" to "${schemaOf(intruder)}_rw"`),
  },
  'a table granted to everybody': {
    database: 'sql',
    told: 'victim',
    names: /a table in schema t_victim_\w+ is open to PUBLIC/,
    make: ({ sql }) => sql.query(`grant select on "${schemaOf(victim)}".letters to public`),
  },
  "another tenant's login made a member of the tenant's group": {
    database: 'sql',
    told: 'victim',
    names: /role t_intruder_\w+_app_a is a member of t_victim_\w+_rw/,
    make: ({ sql }) => sql.query(`grant "${schemaOf(victim)}_rw" to "${place(intruder, 'sql').login}"`),
  },
  'a login that may bypass row security': {
    database: 'sql',
    told: 'intruder',
    names: /role t_intruder_\w+_app_a has BYPASSRLS/,
    make: ({ sql }) => sql.query(`alter role "${place(intruder, 'sql').login}" bypassrls`),
  },
  "a Redis user that reaches another tenant's keys": {
    database: 'cache',
    told: 'intruder',
    names: /t_intruder_\w+: it reaches keys ~\{t_victim_\w+\}:\*/,
    make: ({ cache }) =>
      cache.call('ACL', 'SETUSER', place(intruder, 'cache').login ?? '', `~${place(victim, 'cache').keyPrefix}*`),
  },
  'a Redis user that may run commands on the whole server': {
    database: 'cache',
    told: 'intruder',
    names: /t_intruder_\w+: it may run .*flushall/i,
    make: ({ cache }) => cache.call('ACL', 'SETUSER', place(intruder, 'cache').login ?? '', '+flushall', '+keys'),
  },
  'a Redis user that needs no password': {
    database: 'cache',
    told: 'intruder',
    names: /t_intruder_\w+: it needs no password/,
    make: ({ cache }) => cache.call('ACL', 'SETUSER', place(intruder, 'cache').login ?? '', 'nopass'),
  },
}

describe('a leak made by hand', () => {
  test.each(Object.entries(LEAKS))('is told and named while it cannot be closed: %s', async (_name, leak) => {
    const admins = { sql: await postgresAs(postgres), cache: await redisAs(useStack().redis) }
    await annotate(op, DATABASES, leak.database, { paused: 'true' })
    await leak.make(admins)
    const told = { reason: 'NotIsolated', message: expect.stringMatching(leak.names) } as Partial<Condition>
    await untilCondition(op, TENANTS, leak.told, { condition: { type: 'Isolated', status: 'False', ...told } })
    await untilCondition(op, TENANTS, leak.told, { condition: { type: 'Ready', status: 'False', ...told } })

    await annotate(op, DATABASES, leak.database, { paused: null })
    await untilCondition(op, TENANTS, leak.told, { condition: { type: 'Isolated', status: 'True' } })
    for (const name of ['victim', 'intruder']) await untilCondition(op, TENANTS, name, { condition: READY })
  })
})
