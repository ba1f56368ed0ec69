import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CoreV1Api, KubeConfig, type User } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshNamespace, useStack } from '../../test/support/stack.ts'
import { createClient, type KubeClient } from './client.ts'
import { hurried } from './testing/informer-bench.ts'
import { NAMESPACES } from './types.ts'

const instant = hurried(1_000)

const direct = new KubeConfig()
const clients: KubeClient[] = []
let namespace: string
let dir: string

beforeAll(async () => {
  direct.loadFromFile(useStack().kubeconfig)
  namespace = await freshNamespace('transport')
  dir = await mkdtemp(join(tmpdir(), 'tenantry-transport-'))
  await api().createNamespacedServiceAccount({ namespace, body: { metadata: { name: 'reader' } } })
})
afterAll(async () => {
  await Promise.all(clients.map((each) => each.close()))
  await rm(dir, { recursive: true, force: true })
})

const api = (): CoreV1Api => direct.makeApiClient(CoreV1Api)

async function freshToken(): Promise<string> {
  const body = { spec: { audiences: [], expirationSeconds: 600 } }
  const { status } = await api().createNamespacedServiceAccountToken({ name: 'reader', namespace, body })
  return status?.token ?? ''
}

function clientAs(user: Omit<User, 'name'>): KubeClient {
  const cluster = direct.getCurrentCluster()
  if (!cluster) throw new Error('no cluster')
  const config = new KubeConfig()
  config.loadFromClusterAndUser(cluster, { ...user, name: 'reader' })
  const client = createClient({ kubeConfig: config })
  clients.push(client)
  return client
}

// The account may not read namespaces. Known and not allowed is 403; not known would be 401.
const known = { code: 'KubernetesRejected', status: 403 }

describe('the credentials', () => {
  test('follow a token file that is renewed', async () => {
    const file = join(dir, 'token')
    await writeFile(file, 'expired')
    const client = clientAs({ authProvider: { name: 'tokenFile', config: { tokenFile: file } } })
    await expect(client.get(NAMESPACES, { name: namespace })).rejects.toMatchObject({
      code: 'KubernetesUnavailable',
      status: 401,
    })
    await writeFile(file, `${await freshToken()}\n`)
    await expect(client.get(NAMESPACES, { name: namespace })).rejects.toMatchObject(known)
    expect(client.requests.byKind()).toEqual({ 'get namespaces 401': 3, 'get namespaces 403': 1 })
  })

  test('come from a login command, which is run again when its token is refused', async () => {
    const credential = join(dir, 'credential.json')
    const write = (token: string): Promise<void> =>
      writeFile(
        credential,
        JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token } }),
      )
    await write('expired')
    const client = clientAs({ exec: { command: 'cat', args: [credential] } })
    await expect(client.get(NAMESPACES, { name: namespace })).rejects.toMatchObject({ status: 401 })
    await write(await freshToken())
    await expect(client.get(NAMESPACES, { name: namespace })).rejects.toMatchObject(known)
  })

  test('that cannot be had are an error that says so', async () => {
    const client = clientAs({ exec: { command: 'tenantry-no-such-command' } })
    await expect(client.get(NAMESPACES, { name: namespace })).rejects.toMatchObject({
      code: 'KubernetesUnavailable',
      message: expect.stringContaining('tenantry-no-such-command'),
    })
  })
})

test('a server that nobody listens at is unavailable', async () => {
  const config = new KubeConfig()
  config.loadFromClusterAndUser({ name: 'c', server: 'https://127.0.0.1:1', skipTLSVerify: true }, { name: 'u' })
  const client = createClient({ kubeConfig: config, clock: instant })
  clients.push(client)
  await expect(client.get(NAMESPACES, { name: 'default' })).rejects.toMatchObject({
    code: 'KubernetesUnavailable',
    message: expect.stringContaining('ECONNREFUSED'),
  })
})

test('a server with a certificate of another authority is refused', async () => {
  const cluster = direct.getCurrentCluster()
  if (!cluster) throw new Error('no cluster')
  const config = new KubeConfig()
  config.loadFromClusterAndUser({ name: 'c', server: cluster.server, skipTLSVerify: false }, { name: 'u' })
  const client = createClient({ kubeConfig: config, clock: instant })
  clients.push(client)
  await expect(client.get(NAMESPACES, { name: 'default' })).rejects.toMatchObject({
    code: 'KubernetesUnavailable',
    message: expect.stringMatching(/certificate/i),
  })
})
