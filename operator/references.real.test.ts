import { KubeConfig } from '@kubernetes/client-node'
import { expect, onTestFinished, test } from 'vitest'
import { freshNamespace, useStack } from '../test/support/stack.ts'
import { systemClock } from './clock.ts'
import { createClient, type KubeClient } from './kube/client.ts'
import { createInformer } from './kube/reflector.ts'
import { SECRETS, type Secret } from './kube/types.ts'
import { References } from './references.ts'
import { silentLog } from './telemetry/log.ts'

interface Heard {
  readonly users: readonly string[]
  readonly content: boolean
}

/** The stack's API, by default as its administrator. */
function connect(change: (config: KubeConfig) => void = () => undefined): KubeClient {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(useStack().kubeconfig)
  change(kubeConfig)
  const client = createClient({ kubeConfig })
  onTestFinished(() => client.close())
  return client
}

function references(client: KubeClient, patienceMs?: number): { references: References; heard: Heard[] } {
  const heard: Heard[] = []
  const made = new References({
    clock: systemClock,
    ...(patienceMs !== undefined && { patienceMs }),
    open: (type, { namespace, name }) =>
      createInformer({
        client,
        type,
        ...(namespace !== undefined && { namespace }),
        fieldSelector: `metadata.name=${name}`,
        log: silentLog,
      }),
    onChange: (users, content) => heard.push({ users, content }),
  })
  onTestFinished(() => made.close())
  return { references: made, heard }
}

const secret = (namespace: string, name: string, value: string): Secret => ({
  metadata: { namespace, name },
  data: { key: Buffer.from(value).toString('base64') },
})

test('users hear of other content, and of other metadata apart', async () => {
  const client = connect()
  const namespace = await freshNamespace()
  await client.create(SECRETS, secret(namespace, 'one', 'a'))
  const { references: watched, heard } = references(client)
  const found = await watched.get('shop/oltp', SECRETS, { namespace, name: 'one' })
  expect(found?.data?.key).toBe('YQ==')
  const users = ['shop/oltp']
  const until = (expected: readonly Heard[]) => expect.poll(() => heard, { timeout: 10_000 }).toEqual(expected)
  await client.patch(SECRETS, { namespace, name: 'one' }, { metadata: { labels: { by: 'others' } } }, { type: 'merge' })
  await until([{ users, content: false }])
  await client.apply(SECRETS, secret(namespace, 'one', 'b'), { force: true })
  await client.remove(SECRETS, { namespace, name: 'one' })
  await until([
    { users, content: false },
    { users, content: true },
    { users, content: true },
  ])
})

test('users hear nothing of their own write where its answer is shown before the watch tells of it', async () => {
  const client = connect()
  const namespace = await freshNamespace()
  const written = await client.create(SECRETS, secret(namespace, 'one', 'a'))
  const { references: watched, heard } = references(client)
  await watched.get('shop/oltp', SECRETS, { namespace, name: 'one' })
  const version = String(BigInt(written.metadata.resourceVersion ?? 0) + 1_000_000_000n)
  watched.observe(SECRETS, {
    ...secret(namespace, 'one', 'b'),
    metadata: { ...written.metadata, resourceVersion: version },
  })
  expect((await watched.get('shop/oltp', SECRETS, { namespace, name: 'one' }))?.data?.key).toBe('Yg==')
  expect(heard).toEqual([])
})

test('what may not be read is given up after a while, by name, instead of keeping a reconcile for ever', async () => {
  const client = connect((config) => {
    const [user] = config.users
    const cluster = config.getCurrentCluster()
    if (!user || !cluster) throw new Error('the stack has no user')
    config.loadFromClusterAndUser(cluster, { name: 'nobody' })
  })
  const { references: watched } = references(client, 300)
  await expect(watched.get('shop/oltp', SECRETS, { namespace: 'default', name: 'hidden' })).rejects.toMatchObject({
    code: 'KubernetesUnavailable',
    message: expect.stringMatching(/secrets\/default\/hidden.*RBAC/),
  })
})
