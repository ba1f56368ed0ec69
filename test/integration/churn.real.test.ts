import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { createInformer } from '@tenantry/operator/kube/reflector.ts'
import { type KubeObject, type ResourceType, SECRETS, type Secret } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { silentLog } from '@tenantry/operator/telemetry/log.ts'
import { createTracing, type Tracing } from '@tenantry/operator/telemetry/tracing.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRelay, type Relay } from '../chaos/proxies/listen.ts'
import { type Counts, countsOf, difference } from '../support/counting.ts'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { makeTenant, postgresAs, READY, redisAs } from '../support/platform.ts'
import { freshPostgres, useStack } from '../support/stack.ts'
import { on } from '../support/tiers.ts'

const CONNECTIONS = 4
const DWELLERS = ['one', 'two', 'three', 'four', 'five']

let op: TestOperator
/** Every reconcile so far: of what, and why. */
const reconciled: string[] = []
const tracing: Tracing = {
  ...createTracing(),
  reconcile: (about, work) => {
    reconciled.push(`${about.controller} ${about.key} for ${about.cause}`)
    return work()
  },
}
let postgres: Connection
let relay: Relay
let logins = 0

beforeAll(async () => {
  op = await startTestOperator({ TENANTRY_SHARD_CONNECTIONS: String(CONNECTIONS) }, { tracing })
  postgres = await freshPostgres()
  relay = await openRelay(postgres, (client, open) => {
    logins++
    const server = open()
    client.pipe(server).pipe(client)
  })
  await op.applySecret('churned', throughRelay())
  await op.applySecret('calm', useStack().redis)
  await applyDatabase('churned', { engine: 'PostgreSQL', isolation: 'Schema' })
  await applyDatabase('calm', { engine: 'Redis', isolation: 'Prefix' })
  for (const name of ['churned', 'calm']) await untilCondition(op, DATABASES, name, { condition: READY })
  for (const name of DWELLERS) await makeTenant(op, name, on('churned'))
})

afterAll(() => relay.close())

const throughRelay = (): Connection => ({ ...postgres, host: '127.0.0.1', port: relay.port })

/** An interval so long that all that happens is answered to what the test does. */
function applyDatabase(
  name: string,
  kind: { engine: 'PostgreSQL'; isolation: 'Schema' } | { engine: 'Redis'; isolation: 'Prefix' },
) {
  const shards = [{ name: 's0', connectionSecretRef: { name } }]
  return op.applyDatabase({ name, spec: { ...kind, shards, interval: '1h' } })
}

async function change(type: ResourceType, name: string, patch: object): Promise<KubeObject> {
  return await op.kube.patch(type, { namespace: op.namespace, name }, patch, { type: 'merge' })
}

/** Does something so often, a few at a time: the API server lets writers of one object wait for each other. */
async function often(times: number, act: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < times) await act(next++)
  }
  await Promise.all(Array.from({ length: 4 }, worker))
}

/** Does something once a second. */
async function everySecond(times: number, act: (n: number) => Promise<unknown>): Promise<void> {
  for (let n = 0; n < times; n++) {
    await act(n)
    await new Promise((wake) => setTimeout(wake, 1000))
  }
}

/** Waits until nothing more is done, and returns all that was done so far. */
async function countsAtRest(): Promise<Counts> {
  let last = await countsOf(op)
  await until('the operator to come to rest', async () => {
    await new Promise((wake) => setTimeout(wake, 1500))
    const previous = last
    last = await countsOf(op)
    expect(last).toEqual(previous)
  })
  return last
}

test('a thousand changes of one spec at once cost far fewer reconciles and writes, and the last one counts', async () => {
  await makeTenant(op, 'busy', on('calm'))
  const before = await countsAtRest()
  const started = performance.now()
  await often(1000, (n) => change(TENANTS, 'busy', { spec: { displayName: `Name ${n}` } }))
  const seconds = (performance.now() - started) / 1000
  await makeTenant(op, 'beside-busy', on('calm'))
  const busy = await untilCondition(op, TENANTS, 'busy', { condition: READY })
  expect(busy.status?.observedGeneration).toBe(busy.metadata.generation)
  expect(busy.metadata.generation).toBeGreaterThan(1000)
  const { tenantReconciles, writes, applies } = difference(await countsAtRest(), before)
  // On a slow API server they take longer than a second: then they are worth more reconciles.
  expect(tenantReconciles).toBeLessThanOrEqual(Math.min(mostReconciles(seconds) + 10, 900))
  expect(writes).toBeLessThanOrEqual(tenantReconciles + 10)
  expect(applies).toBeLessThanOrEqual(2)
})

/** Of one object: twenty at once, then ten a second; two seconds more for what was still waiting. */
function mostReconciles(seconds: number): number {
  return 20 + 10 * (seconds + 2)
}

test('hundreds of changes of labels and of annotations of others cost nothing', async () => {
  await makeTenant(op, 'labelled', on('calm'))
  const before = await countsAtRest()
  const soFar = reconciled.length
  await often(300, (n) =>
    change(TENANTS, 'labelled', { metadata: { labels: { n: `n${n}` }, annotations: { 'example.com/n': `n${n}` } } }),
  )
  expect(difference(await countsAtRest(), before)).toMatchObject({ writes: 0, applies: 0 })
  expect(reconciled.slice(soFar)).toEqual([])
})

test("Secrets of another installation's tenants are none of ours, whatever becomes of them", async () => {
  const theirs = { metadata: { namespace: op.namespace, name: 'elsewhere' }, spec: on('calm') }
  const { metadata } = await op.kube.create<KubeObject>(TENANTS, theirs as KubeObject)
  const owner = { apiVersion: 'tenantry.dev/v1alpha1', kind: 'Tenant', name: 'elsewhere', uid: metadata.uid ?? '' }
  const secret = { namespace: op.namespace, name: 'elsewhere-cache' }
  const labels = { [LABEL_MANAGED]: 'true' }
  await op.kube.create<Secret>(SECRETS, { metadata: { ...secret, labels, ownerReferences: [owner] } })
  await countsAtRest()
  const soFar = reconciled.length
  await change(SECRETS, secret.name, { data: { host: 'eA==' } })
  await op.kube.remove(SECRETS, secret)
  await countsAtRest()
  expect(reconciled.slice(soFar)).toEqual([])
})

test.each([
  ['a wrong password', () => ({ ...throughRelay(), password: 'not-the-right-one' }), 'AuthenticationFailed'],
  ['a port that is none', () => ({ ...throughRelay(), port: 'none' as never }), 'SecretInvalid'],
] as const)(
  'a connection Secret that flips every second to %s and back is told, costs a few steps a flip, and is recovered from',
  async (_, wrong, reason) => {
    const flips = 10
    const before = await countsAtRest()
    const loginsBefore = logins
    const reasons = new Set<string | undefined>()
    await everySecond(flips, async (n) => {
      const database = await op.kube.get(DATABASES, { namespace: op.namespace, name: 'churned' })
      reasons.add(database?.status?.conditions?.find(({ type }) => type === 'Ready')?.reason)
      await op.applySecret('churned', n % 2 === 0 ? wrong() : throughRelay())
    })
    await op.applySecret('churned', wrong())
    await untilCondition(op, DATABASES, 'churned', { condition: { type: 'Ready', status: 'False', reason } })
    await op.applySecret('churned', throughRelay())
    await untilCondition(op, DATABASES, 'churned', { condition: READY })
    for (const name of DWELLERS) await untilCondition(op, TENANTS, name, { condition: READY })
    const done = difference(await countsAtRest(), before)
    const all = flips + 2
    expect(reasons).toContain(reason)
    expect(done.databaseReconciles).toBeLessThanOrEqual(4 * all)
    expect(done.tenantReconciles).toBeLessThanOrEqual(8 * all * DWELLERS.length)
    expect(done.writes).toBeLessThanOrEqual(4 * all * (DWELLERS.length + 1))
    expect(logins - loginsBefore).toBeLessThanOrEqual(all * (2 * CONNECTIONS))
    expect(done.applies).toBe(0)
  },
)

test('a credential Secret that somebody changes every second costs a few steps a flip, and works in the end', async () => {
  await makeTenant(op, 'flipped', on('calm'))
  const right = await op.secret('flipped-calm')
  const flips = 10
  const before = await countsAtRest()
  await everySecond(flips, async (n) => {
    const password = n % 2 === 0 ? Buffer.from([0xff, 0, 0x0a, 0x27]) : Buffer.from(right.password ?? '')
    await change(SECRETS, 'flipped-calm', { data: { password: password.toString('base64') } })
  })
  const done = difference(await countsAtRest(), before)
  expect(done.tenantReconciles).toBeLessThanOrEqual(4 * flips)
  expect(done.writes).toBeLessThanOrEqual(4 * flips)
  expect(done.applies).toBeLessThanOrEqual(3 * flips)
  await untilCondition(op, TENANTS, 'flipped', { condition: READY })
  await (await redisAs(await op.secret('flipped-calm'))).ping()
})

test('somebody who undoes every write of a credential Secret at once gets no hot loop', async () => {
  await makeTenant(op, 'fought-over', on('churned'))
  const before = await countsAtRest()
  const stop = new AbortController()
  const fieldSelector = 'metadata.name=fought-over-churned'
  const theirs = createInformer<Secret>({
    client: op.kube,
    type: SECRETS,
    namespace: op.namespace,
    fieldSelector,
    log: silentLog,
  })
  const spoilt = Buffer.from('elsewhere.example').toString('base64')
  theirs.store.onChange(({ object }) => {
    if (object.data?.host === spoilt) return
    void change(SECRETS, 'fought-over-churned', { data: { host: spoilt } }).catch(() => undefined)
  })
  theirs.start(stop.signal)
  const started = performance.now()
  await new Promise((wake) => setTimeout(wake, 8000))
  stop.abort()
  const seconds = (performance.now() - started) / 1000
  const done = difference(await countsAtRest(), before)
  expect(done.tenantReconciles).toBeLessThanOrEqual(mostReconciles(seconds))
  expect(done.writes).toBeLessThanOrEqual(2 * done.tenantReconciles)
  await untilCondition(op, TENANTS, 'fought-over', { condition: READY })
  expect((await op.secret('fought-over-churned')).host).toBe('127.0.0.1')
  await (await postgresAs(await op.secret('fought-over-churned'))).query('select 1')
})
