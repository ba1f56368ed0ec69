import { FINALIZER_IN_USE } from '@tenantry/crds/annotations.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { type KubeObject, NAMESPACES, SECRETS, type Secret } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { type OperatorProcess, spawnOperator } from '../support/operator-process.ts'
import { place, postgresAs, READY } from '../support/platform.ts'
import { freshNamespace, freshPostgres, useStack } from '../support/stack.ts'
import { on, tracesIn } from '../support/tiers.ts'

let op: TestOperator
let operator: OperatorProcess

beforeAll(async () => {
  // The operator in this process looks after nothing: it is here for its helpers.
  op = await startTestOperator({ TENANTRY_SELECTOR: 'nobody=looks' })
  operator = spawnOperator(op.installation)
})

afterAll(() => operator.kill())

async function applySecret(namespace: string, name: string, connection: Connection): Promise<void> {
  const { tls: _, ...keys } = connection
  const stringData = Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, String(value)]))
  await op.kube.apply(SECRETS, { metadata: { namespace, name }, stringData } as Secret, { force: true })
}

function applyDatabase(
  namespace: string,
  name: string,
  secret: string,
  deletionPolicy: 'Retain' | 'Delete' = 'Delete',
) {
  const shards = [{ name: 's0', connectionSecretRef: { name: secret } }]
  const engine = name.startsWith('cache')
    ? ({ engine: 'Redis', isolation: 'Prefix' } as const)
    : ({ engine: 'PostgreSQL', isolation: 'Schema' } as const)
  return op.applyDatabase({ name, spec: { ...engine, shards, deletionPolicy, interval: '2s' } }, namespace)
}

const holders = async (namespace: string, name: string): Promise<readonly string[] | undefined> => {
  const secret = await op.kube.get(SECRETS, { namespace, name })
  return secret && (secret.metadata.finalizers ?? [])
}

async function untilGone(namespace: string): Promise<void> {
  await until(`namespace ${namespace} to be gone`, async () => {
    const left = await op.kube.get(NAMESPACES, { name: namespace })
    expect(left && JSON.stringify(left)).toBeUndefined()
  })
}

/** A namespace with two Databases and a Tenant of both, all in order; what is left of it in Postgres is told by `traces`. */
async function makeWhole(): Promise<{ namespace: string; traces: () => Promise<readonly string[]> }> {
  const namespace = await freshNamespace()
  const postgres = await freshPostgres()
  await applySecret(namespace, 'way-to-oltp', postgres)
  await applySecret(namespace, 'way-to-cache', useStack().redis)
  await applyDatabase(namespace, 'oltp', 'way-to-oltp')
  await applyDatabase(namespace, 'cache', 'way-to-cache')
  await op.applyTenant({ name: 'acme', spec: on('oltp', 'cache') }, namespace)
  const tenant = await untilCondition(op, TENANTS, 'acme', { condition: READY, at: namespace })
  const { schema = '' } = place(tenant, 'oltp')
  return { namespace, traces: async () => tracesIn(await postgresAs(postgres), schema) }
}

describe('a namespace that is deleted with its Databases in it', () => {
  test('while the operator is down goes, with all that it had on the servers, once the operator is back', async () => {
    await operator.ready()
    const { namespace, traces } = await makeWhole()
    expect(await traces()).not.toEqual([])
    await operator.kill()
    await op.kube.remove(NAMESPACES, { name: namespace })
    await until('the namespace controller to have asked for every deletion', async () => {
      expect(await op.kube.get(SECRETS, { namespace, name: 'acme-oltp' })).toBeUndefined()
      for (const name of ['way-to-oltp', 'way-to-cache']) {
        const secret = await op.kube.get(SECRETS, { namespace, name })
        expect(secret?.metadata.deletionTimestamp).toBeDefined()
      }
    })
    operator = spawnOperator(op.installation)
    await untilGone(namespace)
    expect(await traces()).toEqual([])
  })

  test.each([20, 300, 1200])('goes though the operator is killed after %s ms', async (ms) => {
    await operator.ready()
    const { namespace, traces } = await makeWhole()
    await op.kube.remove(NAMESPACES, { name: namespace })
    await new Promise((wake) => setTimeout(wake, ms))
    await operator.kill()
    operator = spawnOperator(op.installation)
    await untilGone(namespace)
    expect(await traces()).toEqual([])
  })
})

test('a Secret that is deleted just before its Database waits for it, though the operator is killed in between', async () => {
  await operator.ready()
  const { namespace, traces } = await makeWhole()
  await op.kube.remove(SECRETS, { namespace, name: 'way-to-oltp' })
  await operator.kill()
  await op.kube.remove(TENANTS, { namespace, name: 'acme' })
  for (const name of ['oltp', 'cache']) await op.kube.remove(DATABASES, { namespace, name })
  operator = spawnOperator(op.installation)
  await until('all of it to be gone', async () => {
    for (const name of ['oltp', 'cache']) expect(await op.kube.get(DATABASES, { namespace, name })).toBeUndefined()
    expect(await holders(namespace, 'way-to-oltp')).toBeUndefined()
  })
  expect(await traces()).toEqual([])
})

describe('a connection Secret', () => {
  let namespace: string

  beforeAll(async () => {
    namespace = await freshNamespace()
    await operator.ready()
  })

  const ready = (name: string) => untilCondition(op, DATABASES, name, { condition: READY, at: namespace })
  const untilHeld = (name: string, held: boolean) =>
    until(`Secret ${name} to be ${held ? 'held' : 'free'}`, async () => {
      expect((await holders(namespace, name))?.includes(FINALIZER_IN_USE)).toBe(held)
    })
  const removeDatabase = async (name: string): Promise<void> => {
    await op.kube.remove(DATABASES, { namespace, name })
    await until(`Database ${name} to be gone`, async () => {
      expect(await op.kube.get(DATABASES, { namespace, name })).toBeUndefined()
    })
  }

  test('is held from before its first use until the last Database that names it is gone', async () => {
    await applySecret(namespace, 'shared', useStack().redis)
    await applyDatabase(namespace, 'cache-a', 'shared')
    await applyDatabase(namespace, 'cache-b', 'shared')
    await ready('cache-a')
    await ready('cache-b')
    await untilHeld('shared', true)
    await removeDatabase('cache-a')
    await untilHeld('shared', true)
    await removeDatabase('cache-b')
    await untilHeld('shared', false)
    await applyDatabase(namespace, 'cache-a', 'shared')
    await applyDatabase(namespace, 'cache-b', 'shared')
    await ready('cache-a')
    await ready('cache-b')
    await Promise.all([removeDatabase('cache-a'), removeDatabase('cache-b')])
    await untilHeld('shared', false)
  })

  test('is let go when the spec names another, even while the operator was down', async () => {
    await applySecret(namespace, 'first', useStack().redis)
    await applySecret(namespace, 'second', useStack().redis)
    await applySecret(namespace, 'third', useStack().redis)
    await applyDatabase(namespace, 'cache-moves', 'first')
    await untilHeld('first', true)
    await applyDatabase(namespace, 'cache-moves', 'second')
    await untilHeld('second', true)
    await untilHeld('first', false)
    await operator.kill()
    await applyDatabase(namespace, 'cache-moves', 'third')
    operator = spawnOperator(op.installation)
    await untilHeld('third', true)
    await untilHeld('second', false)
    await removeDatabase('cache-moves')
    await untilHeld('third', false)
  })

  test('keeps the finalizers of others, and goes where its owner deletes and makes it again', async () => {
    await applySecret(namespace, 'renewed', useStack().redis)
    const others = { metadata: { finalizers: ['example.com/other'] } }
    await op.kube.patch(SECRETS, { namespace, name: 'renewed' }, others, { type: 'merge' })
    await applyDatabase(namespace, 'cache-renewed', 'renewed')
    await untilHeld('renewed', true)
    expect(await holders(namespace, 'renewed')).toEqual(['example.com/other', FINALIZER_IN_USE])
    await ready('cache-renewed')
    const none = { metadata: { finalizers: [FINALIZER_IN_USE] } }
    await op.kube.patch(SECRETS, { namespace, name: 'renewed' }, none, { type: 'merge' })
    await op.kube.remove(SECRETS, { namespace, name: 'renewed' })
    await until('the Secret to be let go', async () => expect(await holders(namespace, 'renewed')).toBeUndefined())
    await untilCondition(op, DATABASES, 'cache-renewed', {
      condition: { type: 'Ready', status: 'False', reason: 'SecretNotFound' },
      at: namespace,
    })
    await applySecret(namespace, 'renewed', useStack().redis)
    await untilHeld('renewed', true)
    await ready('cache-renewed')
    await removeDatabase('cache-renewed')
    await untilHeld('renewed', false)
  })

  test('is let go when its Database is abandoned', async () => {
    await applySecret(namespace, 'dead', { ...(await freshPostgres()), port: 1 })
    await applyDatabase(namespace, 'oltp-dead', 'dead')
    await untilHeld('dead', true)
    await op.kube.remove(DATABASES, { namespace, name: 'oltp-dead' })
    const annotations = { metadata: { annotations: { 'tenantry.dev/abandon': 'true' } } }
    await op.kube.patch<KubeObject>(DATABASES, { namespace, name: 'oltp-dead' }, annotations, { type: 'merge' })
    await untilHeld('dead', false)
  })

  test('whose finalizer somebody takes away again and again is not fought over', async () => {
    await applySecret(namespace, 'contested', useStack().redis)
    await op.applyDatabase(
      {
        name: 'cache-contested',
        spec: {
          engine: 'Redis',
          isolation: 'Prefix',
          shards: [{ name: 's0', connectionSecretRef: { name: 'contested' } }],
        },
      },
      namespace,
    )
    await untilHeld('contested', true)
    await ready('cache-contested')
    let put = 0
    for (let i = 0; i < 20; i++) {
      if ((await holders(namespace, 'contested'))?.includes(FINALIZER_IN_USE)) put++
      const without = { metadata: { finalizers: null } }
      await op.kube.patch(SECRETS, { namespace, name: 'contested' }, without, { type: 'merge' })
      await new Promise((wake) => setTimeout(wake, 50))
    }
    expect(put).toBe(1)
    await removeDatabase('cache-contested')
  })
})
