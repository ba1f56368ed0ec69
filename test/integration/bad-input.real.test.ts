import { createServer, type Server } from 'node:net'
import type { Condition } from '@tenantry/crds/conditions.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, untilCondition } from '../support/operator.ts'
import {
  INTERVAL,
  makePlatform,
  makeTenant,
  type Platform,
  place,
  postgresAs,
  READY,
  redisAs,
  shard,
  tables,
} from '../support/platform.ts'
import { freshNamespace, freshPostgres, useStack } from '../support/stack.ts'

let op: TestOperator
let platform: Platform

beforeAll(async () => {
  op = await startTestOperator({ TENANTRY_CONNECT_TIMEOUT_MS: '2000' })
  platform = await makePlatform(op)
})

const notReady = (reason: string, message: RegExp): Partial<Condition> =>
  ({ type: 'Ready', status: 'False', reason, message: expect.stringMatching(message) }) as Partial<Condition>

const oneDatabase = (name: string, ref: { name: string; namespace?: string } = { name }) => ({
  databases: [{ name, databaseRef: ref }],
})

describe('a Database', () => {
  test('whose Secret is missing says which, and becomes ready when it appears', async () => {
    await op.applyDatabase({
      name: 'no-secret',
      spec: { engine: 'Redis', isolation: 'Prefix', ...shard('late-secret') },
    })
    const condition = notReady('SecretNotFound', new RegExp(`no Secret ${op.namespace}/late-secret; create it`))
    await untilCondition(op, DATABASES, 'no-secret', { condition })
    await op.applySecret('late-secret', useStack().redis)
    await untilCondition(op, DATABASES, 'no-secret', { condition: READY })
  })

  test('with a wrong password says so without showing it, and becomes ready when it is corrected', async () => {
    const postgres = await freshPostgres()
    await op.applySecret('wrong-password', { ...postgres, password: 'nicht-das-richtige' })
    await op.applyDatabase({
      name: 'wrong-password',
      spec: { engine: 'PostgreSQL', isolation: 'Schema', ...shard('wrong-password') },
    })
    await untilCondition(op, DATABASES, 'wrong-password', { condition: notReady('AuthenticationFailed', /password/) })
    expect(op.logged()).not.toContain('nicht-das-richtige')
    await op.applySecret('wrong-password', postgres)
    await untilCondition(op, DATABASES, 'wrong-password', { condition: READY })
  })

  test('whose server hangs is given up after the timeout, and nobody else waits for it', async () => {
    const silent = await listenInSilence()
    await op.applySecret('hangs', { host: '127.0.0.1', port: silent.port, username: 'u', password: 'p', database: 'd' })
    await op.applyDatabase({ name: 'hangs', spec: { engine: 'PostgreSQL', isolation: 'Schema', ...shard('hangs') } })
    await untilCondition(op, DATABASES, 'hangs', { condition: notReady('Timeout', /127\.0\.0\.1/) })
    await op.applyTenant({ name: 'on-hanging', spec: oneDatabase('hangs') })
    await untilCondition(op, TENANTS, 'on-hanging', { condition: { type: 'Ready', status: 'False' } })
    await makeTenant(op, 'beside-hanging')
    await op.applySecret('hangs', await freshPostgres())
    await untilCondition(op, TENANTS, 'on-hanging', { condition: READY })
  })

  test.each([
    ['PostgreSQL', 'Schema', () => useStack().redis],
    ['Redis', 'Prefix', () => platform.postgres],
    ['ClickHouse', 'Database', () => platform.postgres],
  ] as const)(
    'of engine %s whose shard is a server of another engine says so',
    async (engine, isolation, connection) => {
      const name = `wrong-engine-${engine.toLowerCase()}`
      await op.applySecret(name, connection())
      await op.applyDatabase({ name, spec: { engine, isolation, ...shard(name) } })
      await untilCondition(op, DATABASES, name, { condition: notReady('WrongEngine', /./) })
    },
  )

  test('of an unknown engine, or with another engine than before, is refused at once', async () => {
    const unknown = { engine: 'MySQL', isolation: 'Schema', ...shard('x') } as never
    await expect(op.applyDatabase({ name: 'mysql', spec: unknown })).rejects.toThrow(/engine/)
    const changed = { engine: 'ClickHouse', isolation: 'Row', ...shard('oltp-s0') } as const
    await expect(op.applyDatabase({ name: 'oltp', spec: changed })).rejects.toThrow(/engine cannot be changed/)
  })

  test('whose SQL file fails says which line, and is mended by a corrected file', async () => {
    await op.applySecret('bad-sql', await freshPostgres())
    await op.applyFiles('bad-sql', {
      '1_good.sql': 'create table a (x int);',
      '2_bad.sql': 'create table b (x int);\ninsert into b select y from b;',
    })
    await op.applyDatabase({
      name: 'bad-sql',
      spec: { engine: 'PostgreSQL', isolation: 'Schema', ...shard('bad-sql'), ...tables('bad-sql') },
    })
    await op.applyTenant({ name: 'bad-sql', spec: oneDatabase('bad-sql') })
    const tenant = await untilCondition(op, TENANTS, 'bad-sql', {
      condition: notReady('MigrationFailed', /2_bad\.sql.*line 2/s),
    })
    expect(place(tenant, 'bad-sql').schemaVersion).toBe('1')
    await op.applyFiles('bad-sql', { '1_good.sql': 'create table a (x int);', '2_bad.sql': 'create table b (x int);' })
    await untilCondition(op, TENANTS, 'bad-sql', { condition: READY })
    await op.applyFiles('bad-sql', {
      '1_good.sql': 'create table a (x bigint);',
      '2_bad.sql': 'create table b (x int);',
    })
    await untilCondition(op, TENANTS, 'bad-sql', { condition: notReady('MigrationChanged', /1_good\.sql/) })
  })

  test('without its ConfigMap says which, and heals when it appears', async () => {
    await op.applySecret('no-files', await freshPostgres())
    await op.applyDatabase({
      name: 'no-files',
      spec: { engine: 'PostgreSQL', isolation: 'Schema', ...shard('no-files'), ...tables('late-files') },
    })
    await untilCondition(op, DATABASES, 'no-files', { condition: notReady('SourceNotFound', /late-files/) })
    await op.applyFiles('late-files', { '1_a.sql': 'create table a (x int);' })
    await untilCondition(op, DATABASES, 'no-files', { condition: READY })
  })
})

describe('a Tenant', () => {
  test('that refers to nothing says so, keeps its other databases, and heals when the Database appears', async () => {
    await op.applyTenant({
      name: 'half',
      spec: {
        databases: [
          { name: 'cache', databaseRef: { name: 'cache' } },
          { name: 'later', databaseRef: { name: 'later' } },
        ],
      },
    })
    const tenant = await untilCondition(op, TENANTS, 'half', {
      condition: notReady('DatabaseNotFound', /no Database .*later/),
    })
    expect(tenant.status?.databasesReady).toBe('1/2')
    await (await redisAs(await op.secret('half-cache'))).ping()
    await op.applySecret('later', await freshPostgres())
    await op.applyDatabase({ name: 'later', spec: { engine: 'PostgreSQL', isolation: 'Schema', ...shard('later') } })
    await untilCondition(op, TENANTS, 'half', { condition: READY })
  })

  test('of a namespace that the Database does not allow is held off until it does', async () => {
    const elsewhere = await freshNamespace()
    await op.applyTenant(
      { name: 'guest', spec: oneDatabase('cache', { name: 'cache', namespace: op.namespace }) },
      elsewhere,
    )
    const condition = notReady('ReferenceNotAllowed', new RegExp(`takes no Tenants from namespace ${elsewhere}`))
    await untilCondition(op, TENANTS, 'guest', { condition, at: elsewhere })
    await op.applyDatabase({
      name: 'cache',
      spec: {
        engine: 'Redis',
        isolation: 'Prefix',
        ...shard('cache-s0'),
        allowedTenants: { namespaces: { from: 'All' } },
      },
    })
    await untilCondition(op, TENANTS, 'guest', { condition: READY, at: elsewhere })
  })

  test('whose Secret name is taken does not touch that Secret', async () => {
    await op.applySecret('taken', { host: 'somebody-elses' })
    await op.applyTenant({
      name: 'taken',
      spec: { databases: [{ name: 'cache', databaseRef: { name: 'cache' }, secretName: 'taken' }] },
    })
    await untilCondition(op, TENANTS, 'taken', {
      condition: notReady('SecretConflict', /Secret .*\/taken: a Secret of that name exists/),
    })
    expect(await op.secret('taken')).toEqual({ host: 'somebody-elses' })
  })

  test('that meets an unmarked schema of its name leaves it alone until it may adopt it', async () => {
    const first = await makeTenant(op, 'twin')
    const { schema = '' } = place(first, 'oltp')
    await op.kube.remove(TENANTS, { namespace: op.namespace, name: 'twin' })
    await untilGone('twin')
    const admin = await postgresAs(platform.postgres)
    await admin.query(`create schema "${schema}"`)
    await admin.query(`create table "${schema}".precious (x int)`)
    await op.applyTenant({ name: 'twin', spec: oneDatabase('oltp') })
    await untilCondition(op, TENANTS, 'twin', { condition: notReady('Conflict', /adopt/) })
    expect((await admin.query(`select count(*)::int n from "${schema}".precious`)).rows).toEqual([{ n: 0 }])
    await op.applyTenant({ name: 'twin', spec: oneDatabase('oltp'), annotations: { 'tenantry.dev/adopt': 'true' } })
    await untilCondition(op, TENANTS, 'twin', { condition: READY })
    const sql = await postgresAs(await op.secret('twin-oltp'))
    await sql.query('select * from precious')
  })

  test('pinned to a shard that does not exist is told which there are', async () => {
    await op.applyTenant({
      name: 'pinned',
      spec: { databases: [{ name: 'cache', databaseRef: { name: 'cache' }, shard: 's9' }] },
    })
    await untilCondition(op, TENANTS, 'pinned', { condition: notReady('InvalidSpec', /no such shard; name one of s0/) })
  })

  test('is placed nowhere when every shard is full, and where there is room once there is', async () => {
    const full = (tenants: number) =>
      ({
        engine: 'Redis',
        isolation: 'Prefix',
        interval: INTERVAL,
        shards: [{ name: 's0', connectionSecretRef: { name: 'cache-s0' }, capacity: { tenants } }],
      }) as const
    await op.applyDatabase({ name: 'small', spec: full(1) })
    await op.applyTenant({ name: 'fits', spec: oneDatabase('small') })
    await untilCondition(op, TENANTS, 'fits', { condition: READY })
    await op.applyTenant({ name: 'waits', spec: oneDatabase('small') })
    await untilCondition(op, TENANTS, 'waits', { condition: notReady('NoCapacity', /s0 is full/) })
    await op.applyDatabase({ name: 'small', spec: full(2) })
    await untilCondition(op, TENANTS, 'waits', { condition: READY })
  })
})

const servers: Server[] = []
afterAll(() => {
  for (const server of servers) server.close()
})

/** A server that accepts connections and never says a word. */
async function listenInSilence(): Promise<{ port: number }> {
  const server = createServer((socket) => socket.on('error', () => socket.destroy()))
  servers.push(server)
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port }
}

async function untilGone(name: string): Promise<void> {
  const { until } = await import('../support/operator.ts')
  await until(`Tenant ${name} to be gone`, async () => {
    expect(await op.kube.get(TENANTS, { namespace: op.namespace, name })).toBeUndefined()
  })
}
