import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ANNOTATIONS } from '@tenantry/crds/annotations.ts'
import type { Condition } from '@tenantry/crds/conditions.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import type { ResourceType } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { ensureAssets } from '../../hack/assets/assets.ts'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { makeTenant, place, postgresAs, READY } from '../support/platform.ts'
import { freshPostgres, useStack } from '../support/stack.ts'
import { annotate, getTenant } from '../support/watching.ts'

let op: TestOperator
const servers = new Map<string, Connection>()

interface ShardChange {
  readonly cordoned?: boolean
  readonly capacity?: { readonly tenants: number }
}

beforeAll(async () => {
  op = await startTestOperator()
  for (const name of ['s0', 's1']) {
    const postgres = await freshPostgres()
    servers.set(name, postgres)
    await op.applySecret(name, postgres)
  }
  await fleet({ replicas: 1 })
  await untilCondition(op, DATABASES, 'fleet', { condition: READY })
})

async function fleet({
  replicas = 2,
  s0,
  s1,
}: {
  replicas?: number
  s0?: ShardChange
  s1?: ShardChange
}): Promise<void> {
  const shards = Object.entries({ s0, s1 }).map(([name, change]) => ({
    name,
    connectionSecretRef: { name },
    ...change,
  }))
  await op.applyDatabase({
    name: 'fleet',
    spec: { engine: 'PostgreSQL', isolation: 'Schema', interval: '1s', replicas, shards },
  })
}

const spec = (shard?: string) => ({
  deletionPolicy: 'Delete' as const,
  databases: [{ name: 'main', databaseRef: { name: 'fleet' }, ...(shard && { shard }) }],
})

async function shardOf(name: string): Promise<string | undefined> {
  return place(await getTenant(op, name), 'main').shard
}

/** Makes tenants at once and tells how many live where. */
async function settle(names: readonly string[]): Promise<Readonly<Record<string, number>>> {
  await Promise.all(names.map((name) => makeTenant(op, name, spec())))
  const shards = await Promise.all(names.map(shardOf))
  return Object.fromEntries(['s0', 's1'].map((name) => [name, shards.filter((shard) => shard === name).length]))
}

async function untilShards(states: Readonly<Record<string, string>>): Promise<Database['status']> {
  let status: Database['status']
  await until(`shards to be ${JSON.stringify(states)}`, async () => {
    status = (await op.kube.get(DATABASES, { namespace: op.namespace, name: 'fleet' }))?.status
    expect(Object.fromEntries(status?.shards?.map(({ name, state }) => [name, state]) ?? [])).toEqual(states)
  })
  return status
}

async function kubectl(...args: readonly string[]): Promise<string> {
  const { kubectl: program } = await ensureAssets({ log: () => undefined })
  const { stdout } = await promisify(execFile)(program, [
    '--kubeconfig',
    useStack().kubeconfig,
    '--namespace',
    op.namespace,
    ...args,
  ])
  return stdout
}

/** Schemas of tenants on a shard's server. */
async function schemasOn(shard: string): Promise<readonly string[]> {
  const connection = servers.get(shard)
  if (!connection) throw new Error(`no shard ${shard}`)
  const admin = await postgresAs(connection)
  const { rows } = await admin.query<{ name: string }>(
    `select nspname as name from pg_namespace where nspname like 't\\_%'`,
  )
  return rows.map(({ name }) => name)
}

const notReady = (reason: string, message: RegExp): Partial<Condition> =>
  ({ type: 'Ready', status: 'False', reason, message: expect.stringMatching(message) }) as Partial<Condition>

describe('a Database with two shards', () => {
  test('places tenants on the first alone while it has one replica', async () => {
    const status = await untilShards({ s0: 'Active', s1: 'Idle' })
    expect(status?.replicas).toBe(1)
    expect(await settle(['a0', 'a1', 'a2'])).toEqual({ s0: 3, s1: 0 })
  })

  test('takes tenants on both once kubectl scale says so: first where there are fewer, then evenly', async () => {
    await kubectl('scale', 'databases.tenantry.dev/fleet', '--replicas=2')
    const status = await untilShards({ s0: 'Active', s1: 'Active' })
    expect(status?.replicas).toBe(2)
    expect(await settle(['b0', 'b1', 'b2'])).toEqual({ s0: 0, s1: 3 })
    expect(await settle(['c0', 'c1', 'c2', 'c3'])).toEqual({ s0: 2, s1: 2 })
    await until('the counts to be shown', async () => {
      const { items } = await op.kube.list(DATABASES, { namespace: op.namespace })
      expect(items[0]?.status?.shards?.map(({ tenants }) => tenants)).toEqual([5, 5])
    })
    expect(
      await kubectl('get', 'databases.tenantry.dev/fleet', '-o', 'jsonpath={.spec.replicas} {.status.replicas}'),
    ).toBe('2 2')
  })

  test('finds every tenant where it was after a restart, a loss of all status, and a loss of the annotation', async () => {
    const names = ['a0', 'b0', 'c0', 'c1', 'c2', 'c3']
    const before = await Promise.all(names.map(shardOf))
    const schemas = [await schemasOn('s0'), await schemasOn('s1')]
    const wipe = async (type: ResourceType, name: string) =>
      await op.kube.patch(type, { namespace: op.namespace, name }, [{ op: 'remove', path: '/status' }], {
        type: 'json',
        subresource: 'status',
      })
    await op.operator().stop()
    for (const name of names) await wipe(TENANTS, name)
    await wipe(DATABASES, 'fleet')
    await op.restart()
    for (const name of names) await untilCondition(op, TENANTS, name, { condition: READY })
    expect(await Promise.all(names.map(shardOf))).toEqual(before)

    for (const name of names) await annotate(op, TENANTS, name, { placement: null })
    for (const [i, name] of names.entries()) {
      await until(`the placement of ${name} to be stored again`, async () => {
        const { metadata } = await getTenant(op, name)
        const stored = { main: `${op.namespace}/fleet/${before[i]}` }
        expect(JSON.parse(metadata.annotations?.[ANNOTATIONS.placement] ?? '{}')).toEqual(stored)
      })
    }
    expect([await schemasOn('s0'), await schemasOn('s1')]).toEqual(schemas)
  })

  test('keeps new tenants off a cordoned shard, even pinned ones, and goes on looking after the old ones there', async () => {
    await fleet({ s0: { cordoned: true } })
    await untilShards({ s0: 'Cordoned', s1: 'Active' })
    expect(await settle(['d0', 'd1'])).toEqual({ s0: 0, s1: 2 })
    await op.applyTenant({ name: 'pinned', spec: spec('s0') })
    await untilCondition(op, TENANTS, 'pinned', { condition: notReady('NoCapacity', /shard s0 .*it is cordoned/) })
    await untilRepaired('a0')

    await fleet({})
    await untilCondition(op, TENANTS, 'pinned', { condition: READY })
    expect(await shardOf('pinned')).toBe('s0')
  })

  test('fills each shard to its capacity, then lets tenants wait, and takes them in when there is room', async () => {
    const { s0 = 0, s1 = 0 } = await counts()
    await fleet({ s0: { capacity: { tenants: s0 + 1 } }, s1: { capacity: { tenants: s1 + 2 } } })
    await untilCondition(op, DATABASES, 'fleet', { condition: READY })
    expect(await settle(['e0', 'e1', 'e2'])).toEqual({ s0: 1, s1: 2 })
    await op.applyTenant({ name: 'late', spec: spec() })
    await untilCondition(op, TENANTS, 'late', { condition: notReady('NoCapacity', /s0 is full, s1 is full/) })
    await fleet({ s0: { capacity: { tenants: s0 + 1 } }, s1: { capacity: { tenants: s1 + 3 } } })
    await untilCondition(op, TENANTS, 'late', { condition: READY })
    expect(await shardOf('late')).toBe('s1')
  })

  test('lets a surplus shard keep its tenants and take none but pinned ones', async () => {
    await fleet({ replicas: 1 })
    const status = await untilShards({ s0: 'Active', s1: 'Idle' })
    expect(status?.replicas).toBe(1)
    expect(await settle(['f0', 'f1'])).toEqual({ s0: 2, s1: 0 })
    await untilRepaired('b0')
    expect(await shardOf('b0')).toBe('s1')
    await makeTenant(op, 'pinned-idle', spec('s1'))
    expect(await shardOf('pinned-idle')).toBe('s1')
    await (await postgresAs(await op.secret('b0-main'))).query('select 1')
  })
})

async function counts(): Promise<Readonly<Record<string, number>>> {
  const { items } = await op.kube.list(TENANTS, { namespace: op.namespace })
  const shards = items.flatMap(({ status }) => status?.databases ?? []).map(({ shard }) => shard)
  return Object.fromEntries(['s0', 's1'].map((name) => [name, shards.filter((shard) => shard === name).length]))
}

/** Damages a tenant by hand and waits until that is put right. */
async function untilRepaired(name: string): Promise<void> {
  const tenant = await getTenant(op, name)
  const { schema = '', shard = '' } = place(tenant, 'main')
  const connection = servers.get(shard)
  if (!connection) throw new Error(`no shard ${shard}`)
  const admin = await postgresAs(connection)
  await admin.query(`revoke usage on schema "${schema}" from "${schema}_rw"`)
  await until(`${name} to be put right`, async () => {
    const { rows } = await admin.query(`select has_schema_privilege($1, $2, 'USAGE') as whole`, [
      `${schema}_rw`,
      schema,
    ])
    expect(rows).toEqual([{ whole: true }])
  })
}
