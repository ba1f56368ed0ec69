import type { Condition } from '@tenantry/crds/conditions.ts'
import type { KubeObject, ResourceType } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loosenCrds } from '../support/loose-crds.ts'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { makePlatform, makeTenant, type Platform, place, postgresAs, READY } from '../support/platform.ts'
import { on, postgresTier, tracesIn } from '../support/tiers.ts'
import { annotate, getTenant, removeTenant, untilGone } from '../support/watching.ts'

let op: TestOperator
let platform: Platform
let tighten: () => Promise<void>

beforeAll(async () => {
  op = await startTestOperator()
  platform = await makePlatform(op)
  await makeTenant(op, 'neighbour')
  tighten = await loosenCrds(op.kube, op.namespace)
})

afterAll(() => tighten())

const stalled = (message: RegExp): Partial<Condition> =>
  ({ type: 'Stalled', status: 'True', reason: 'InvalidSpec', message: expect.stringMatching(message) }) as never

const entry = { name: 'oltp', databaseRef: { name: 'oltp' } }

const MALFORMED: readonly (readonly [what: string, spec: unknown, message: RegExp])[] = [
  ['no spec', undefined, /^spec is missing/],
  ['text for a spec', 'text', /^spec is a string and must be a map/],
  ['no databases', { deletionPolicy: 'Delete' }, /^spec\.databases is missing/],
  ['a map of databases', { databases: { oltp: entry } }, /^spec\.databases is a map and must be a list/],
  ['a null database', { databases: [null] }, /^spec\.databases\[0\] is null and must be a map/],
  ['a number for a name', { databases: [{ ...entry, name: 5 }] }, /^spec\.databases\[0\]\.name is a number/],
  ['no reference', { databases: [{ name: 'oltp' }] }, /^spec\.databases\[0\]\.databaseRef is missing/],
  [
    'an access of a newer version',
    { databases: [{ ...entry, access: ['ReadWrite', 'Administrator'] }] },
    /^spec\.databases\[0\]\.access\[1\] is "Administrator", which this version does not know: use ReadWrite, ReadOnly/,
  ],
  ['a policy of a newer version', { databases: [entry], deletionPolicy: 'Snapshot' }, /"Snapshot".*use Retain, Delete/],
  ['a word for a flag', { databases: [entry], suspended: 'yes' }, /^spec\.suspended is a string and must be boolean/],
  [
    'no such time',
    { databases: [{ ...entry, limits: { statementTimeout: 'forever' } }] },
    /statementTimeout is not right/,
  ],
  ['a name twice', { databases: [entry, entry] }, /^spec\.databases\[1\]\.name repeats oltp/],
  [
    'a Secret twice',
    {
      databases: [
        { ...entry, secretName: 's' },
        { name: 'b', databaseRef: { name: 'cache' }, secretName: 's' },
      ],
    },
    /^spec\.databases\[1\]\.secretName repeats s/,
  ],
  ['five bad databases and more', { databases: [1, 2, 3, 4, 5, 6, 7] }, /databases\[4\] is a number.*; and 2 more\./],
  [
    'twenty thousand databases',
    { databases: Array.from({ length: 20_000 }, () => 5) },
    /^spec\.databases is not right/,
  ],
]

async function create(type: ResourceType, name: string, spec: unknown): Promise<void> {
  const metadata = { namespace: op.namespace, name, labels: { test: op.installation } }
  await op.kube.create(type, { metadata, ...(spec !== undefined && { spec }) } as KubeObject)
}

async function change(type: ResourceType, name: string, spec: object): Promise<void> {
  await op.kube.patch(type, { namespace: op.namespace, name }, { spec }, { type: 'merge' })
}

describe('a Tenant that no present CRD would let through', () => {
  test.each(MALFORMED)('with %s is told where and what, and can be deleted', async (what, spec, message) => {
    const name = what.replaceAll(' ', '-').toLowerCase()
    await create(TENANTS, name, spec)
    const tenant = await untilCondition(op, TENANTS, name, { condition: stalled(message) })
    expect(tenant.metadata.finalizers).toBeUndefined()
    await removeTenant(op, name)
    await untilGone(op, name)
  })

  test('stops nobody else', async () => {
    await create(TENANTS, 'beside', { databases: 'all of them' })
    await makeTenant(op, 'newcomer')
    await op.restart()
    await makeTenant(op, 'newcomer-after-a-restart')
    await untilCondition(op, TENANTS, 'beside', { condition: stalled(/must be a list/) })
  })

  test('keeps what it had before it was broken, and goes on when it is mended', async () => {
    const before = await makeTenant(op, 'broken')
    const login = await op.secret('broken-oltp')
    await change(TENANTS, 'broken', { databases: [{ ...entry, access: ['Administrator'] }] })
    await untilCondition(op, TENANTS, 'broken', { condition: stalled(/Administrator/) })
    const after = await getTenant(op, 'broken')
    expect(after.status?.databases).toEqual(before.status?.databases)
    expect(await op.secret('broken-cache')).toHaveProperty('password')
    await (await postgresAs(login)).query('select * from customers')
    await change(TENANTS, 'broken', { databases: [entry] })
    await untilCondition(op, TENANTS, 'broken', { condition: READY })
    expect((await getTenant(op, 'broken')).status?.conditions?.some(({ type }) => type === 'Stalled')).toBe(false)
  })

  test('is deleted by its stored places, though its databases cannot be read', async () => {
    const { schema = '' } = place(await makeTenant(op, 'unreadable'), 'oltp')
    await change(TENANTS, 'unreadable', { databases: null })
    await untilCondition(op, TENANTS, 'unreadable', { condition: stalled(/databases is missing/) })
    await removeTenant(op, 'unreadable')
    await untilGone(op, 'unreadable')
    expect(await tracesIn(await postgresAs(platform.postgres), schema)).toEqual([])
  })

  test('is not deleted by a policy that nobody knows', async () => {
    const { schema = '' } = place(await makeTenant(op, 'snapshot'), 'oltp')
    await change(TENANTS, 'snapshot', { deletionPolicy: 'Snapshot' })
    await removeTenant(op, 'snapshot')
    await untilCondition(op, TENANTS, 'snapshot', { condition: stalled(/deletionPolicy is "Snapshot"/) })
    await (await postgresAs(await op.secret('snapshot-oltp'))).query('select * from customers')
    await change(TENANTS, 'snapshot', { deletionPolicy: 'Delete' })
    await untilGone(op, 'snapshot')
    expect(await tracesIn(await postgresAs(platform.postgres), schema)).toEqual([])
  })

  test('with a status of another shape gets one that is right', async () => {
    const before = await makeTenant(op, 'odd-status')
    const status = { conditions: 'all well', databases: { oltp: 1 }, plan: [], observedGeneration: 'three' }
    await op.kube.patch(
      TENANTS,
      { namespace: op.namespace, name: 'odd-status' },
      { status },
      { type: 'merge', subresource: 'status' },
    )
    await op.restart()
    await change(TENANTS, 'odd-status', { plan: 'gold' })
    const after = await untilCondition(op, TENANTS, 'odd-status', { condition: READY })
    expect(place(after, 'oltp').schema).toBe(place(before, 'oltp').schema)
  })
})

describe('a Database that no present CRD would let through', () => {
  const shards = [{ name: 's0', connectionSecretRef: { name: 'cache-s0' } }]
  const redis = { engine: 'Redis', isolation: 'Prefix', shards }

  test.each([
    ['no-spec', undefined, /^spec is missing/],
    ['other-engine', { ...redis, engine: 'MySQL' }, /^spec\.engine is "MySQL".*use PostgreSQL, Redis, ClickHouse/],
    [
      'other-isolation',
      { ...redis, isolation: 'Cell' },
      /^spec\.isolation is "Cell".*use Schema, Row, Database, Prefix/,
    ],
    ['unfit-isolation', { ...redis, isolation: 'Schema' }, /^spec\.isolation is Schema: Redis has Prefix/],
    ['no-shards', { ...redis, shards: 3 }, /^spec\.shards is a number and must be a list/],
    ['no-secret', { ...redis, shards: [{ name: 's0' }] }, /^spec\.shards\[0\]\.connectionSecretRef is missing/],
    ['one-shard-twice', { ...redis, shards: [...shards, ...shards] }, /^spec\.shards\[1\]\.name repeats s0/],
    ['everyone', { ...redis, allowedTenants: { namespaces: { from: 'Selector' } } }, /needs a selector/],
    ['no-interval', { ...redis, interval: 'often' }, /^spec\.interval is not right/],
  ] as const)('is told where and what, and can be deleted: %s', async (name, spec, message) => {
    await create(DATABASES, name, spec)
    const found = await untilCondition(op, DATABASES, name, { condition: stalled(message) })
    expect(found.metadata.finalizers).toBeUndefined()
    await op.kube.remove(DATABASES, { namespace: op.namespace, name })
    await until('it to be gone', async () => {
      expect(await op.kube.get(DATABASES, { namespace: op.namespace, name })).toBeUndefined()
    })
  })

  test.each([
    ['mode', 'Rehearse', 'Enforce'],
    ['approval', 'Committee', 'Automatic'],
    ['isolation', 'Cell', 'Schema'],
  ] as const)('by its %s: its Tenants keep all they have, and nothing is made or dropped', async (field, odd, even) => {
    const name = `odd-${field}`
    const { postgres } = await postgresTier(op, name)
    const tenant = await makeTenant(op, `on-${name}`, on(name))
    const { schema = '' } = place(tenant, name)
    await change(DATABASES, name, { [field]: odd })
    await untilCondition(op, DATABASES, name, { condition: stalled(new RegExp(`spec\\.${field} is "${odd}"`)) })
    await untilCondition(op, TENANTS, `on-${name}`, {
      condition: stalled(new RegExp(`${name} cannot be used.*${odd}`)),
    })
    await op.applyTenant({ name: `late-${name}`, spec: on(name) })
    await untilCondition(op, TENANTS, `late-${name}`, { condition: stalled(new RegExp(odd)) })
    await removeTenant(op, `on-${name}`)
    await op.restart()
    await untilCondition(op, TENANTS, `on-${name}`, { condition: stalled(new RegExp(odd)) })
    const admin = await postgresAs(postgres)
    expect(await tracesIn(admin, schema)).toContain(schema)
    await change(DATABASES, name, { [field]: even })
    await untilGone(op, `on-${name}`)
    await untilCondition(op, TENANTS, `late-${name}`, { condition: READY })
    expect(await tracesIn(admin, schema)).toEqual([])
    await removeTenant(op, `late-${name}`)
    await untilGone(op, `late-${name}`)
  })

  test('goes without its server when it is abandoned', async () => {
    await postgresTier(op, 'lost')
    await untilCondition(op, DATABASES, 'lost', { condition: READY })
    await change(DATABASES, 'lost', { engine: 'MySQL' })
    await op.kube.remove(DATABASES, { namespace: op.namespace, name: 'lost' })
    await untilCondition(op, DATABASES, 'lost', { condition: stalled(/MySQL/) })
    await annotate(op, DATABASES, 'lost', { abandon: 'true' })
    await until('it to be gone', async () => {
      expect(await op.kube.get(DATABASES, { namespace: op.namespace, name: 'lost' })).toBeUndefined()
    })
  })
})

test('what came before the present CRD is told apart and deleted under it as well', async () => {
  const { schema = '' } = place(await makeTenant(op, 'old'), 'oltp')
  await change(TENANTS, 'old', { databases: [{ ...entry, access: 'all' }], suspended: 'no' })
  await create(TENANTS, 'old-and-never-made', { databases: [{ ...entry, name: 7 }] })
  await tighten()
  try {
    await op.restart()
    await untilCondition(op, TENANTS, 'old', { condition: stalled(/access is a string/) })
    await untilCondition(op, TENANTS, 'old-and-never-made', { condition: stalled(/name is a number/) })
    await removeTenant(op, 'old')
    await removeTenant(op, 'old-and-never-made')
    await untilGone(op, 'old')
    await untilGone(op, 'old-and-never-made')
    expect(await tracesIn(await postgresAs(platform.postgres), schema)).toHaveLength(0)
    await untilCondition(op, TENANTS, 'neighbour', { condition: READY })
  } finally {
    await loosenCrds(op.kube, op.namespace)
  }
})
