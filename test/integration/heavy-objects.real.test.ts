import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CustomObjectsApi, KubeConfig } from '@kubernetes/client-node'
import { GROUP, VERSION } from '@tenantry/crds/common.ts'
import { SECRETS } from '@tenantry/operator/kube/types.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, untilCondition } from '../support/operator.ts'
import { READY } from '../support/platform.ts'
import { useStack } from '../support/stack.ts'
import { on, redisTier } from '../support/tiers.ts'

/** So many that what the process keeps of other work is small beside them. */
const COUNT = 24
const KEY = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example.com`

/** Stored with what the API server notes about who set them, these come to more than a megabyte for one object. */
const HEAVY = {
  labels: Object.fromEntries(Array.from({ length: 1600 }, (_, n) => [`${KEY}/label-${n}`, 'v'.repeat(63)])),
  annotations: { 'example.com/note': 'n'.repeat(250_000) },
}

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
  await redisTier(op, 'cache')
})

test('Tenants with a megabyte of labels and annotations each are ready, and weigh next to nothing in memory', async () => {
  const before = await heapAtRest()
  const names = Array.from({ length: COUNT }, (_, n) => `heavy-${n}`)
  for (const name of names) {
    const labels = { ...HEAVY.labels, test: op.installation }
    const metadata = { namespace: op.namespace, name, labels, annotations: HEAVY.annotations }
    await op.kube.create(TENANTS, { metadata, spec: on('cache') } as never)
  }
  for (const name of names) await untilCondition(op, TENANTS, name, { condition: READY })
  const grown = (await heapAtRest()) - before
  const size = JSON.stringify(await asStored('heavy-0')).length
  expect(size).toBeGreaterThan(1_000_000)
  expect(grown).toBeLessThan((COUNT * size) / 2)
  await op.restart()
  await op.applyTenant({ name: 'light', spec: on('cache') })
  await untilCondition(op, TENANTS, 'light', { condition: READY })
  expect((await heapAtRest()) - before).toBeLessThan((COUNT * size) / 2)
})

test('nothing of it is copied: the operator owns only its own fields, and its Secrets carry only its own label', async () => {
  const { metadata } = await asStored('heavy-0')
  const applied = metadata.managedFields.filter(({ subresource }) => subresource === 'status')
  expect(applied.map(({ manager }) => manager)).toEqual(['tenantry'])
  expect(JSON.stringify(applied).length).toBeLessThan(10_000)
  const secret = await op.kube.get(SECRETS, { namespace: op.namespace, name: 'heavy-0-cache' })
  expect(secret?.metadata.labels).toEqual({ 'tenantry.dev/managed': 'true' })
  expect(secret?.metadata.annotations).toBeUndefined()
})

interface Stored {
  readonly metadata: { readonly managedFields: readonly { readonly manager: string; readonly subresource?: string }[] }
}

async function asStored(name: string): Promise<Stored> {
  const config = new KubeConfig()
  config.loadFromFile(useStack().kubeconfig)
  const api = config.makeApiClient(CustomObjectsApi)
  return await api.getNamespacedCustomObject({
    group: GROUP,
    version: VERSION,
    namespace: op.namespace,
    plural: 'tenants',
    name,
  })
}

/** Bytes in use after everything that can be collected was. */
async function heapAtRest(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let n = 0; n < 3; n++) {
    collect()
    await new Promise((wake) => setTimeout(wake, 200))
  }
  return process.memoryUsage().heapUsed
}
