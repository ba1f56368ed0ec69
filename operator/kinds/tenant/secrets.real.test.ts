import { KubeConfig } from '@kubernetes/client-node'
import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { redis } from '@tenantry/engines/redis/engine.ts'
import { expect, onTestFinished, test } from 'vitest'
import { installCrds } from '../../../test/support/operator.ts'
import { freshNamespace, useStack } from '../../../test/support/stack.ts'
import { systemClock } from '../../clock.ts'
import { createClient, type KubeClient } from '../../kube/client.ts'
import { createInformer, type Informer } from '../../kube/reflector.ts'
import { SECRETS, type Secret } from '../../kube/types.ts'
import { TENANTS } from '../../operator.ts'
import { Shard } from '../../shards/shard.ts'
import { silentLog } from '../../telemetry/log.ts'
import type { Binding } from './bindings.ts'
import { ensureCredentials } from './secrets.ts'
import { keepSecret, STORED_SECRETS, type StoredSecret } from './stored-secret.ts'

const connection = { host: 'cache.example', port: 6379, tls: 'off' } as const
const TIMES = { installation: 'test', connectTimeoutMs: 100, statementTimeoutMs: 100, maxConnections: 2 }

interface Lab {
  readonly client: KubeClient
  readonly namespace: string
  readonly tenant: Tenant
  readonly informer: (start?: boolean) => Promise<Informer<StoredSecret>>
}

async function lab(): Promise<Lab> {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(useStack().kubeconfig)
  const client = createClient({ kubeConfig })
  const namespace = await freshNamespace()
  const stop = new AbortController()
  onTestFinished(async () => {
    stop.abort()
    await client.close()
  })
  await installCrds(client)
  // What an owner that is not there owns is collected.
  const spec = { databases: [{ name: 'cache', databaseRef: { name: 'cache' } }] }
  const tenant = await client.create(TENANTS, { metadata: { namespace, name: 'acme' }, spec } as unknown as Tenant)
  const informer = async (start = true): Promise<Informer<StoredSecret>> => {
    const labelSelector = `${LABEL_MANAGED}=true`
    const made = createInformer({
      client,
      type: STORED_SECRETS,
      transform: keepSecret,
      namespace,
      labelSelector,
      log: silentLog,
    })
    if (!start) return made
    made.start(stop.signal)
    await made.synced()
    return made
  }
  return { client, namespace, tenant, informer }
}

function bindingWith(secretTemplate: Readonly<Record<string, string>> = {}): Binding {
  const session = redis.connect(connection, TIMES)
  const times = { clock: systemClock, maxConcurrentApplies: 1, coolDownMs: 1, onCall: () => undefined }
  const shard = new Shard({ id: 'ns/cache/s0', engine: redis, connection, session, ...times })
  onTestFinished(() => shard.close())
  return {
    name: 'cache',
    entry: { name: 'cache', databaseRef: { name: 'cache' }, access: ['ReadWrite'], secretTemplate },
    database: { metadata: {}, spec: { mode: 'Enforce' } } as unknown as Database,
    place: { database: { namespace: 'ns', name: 'cache' }, shard: 's0' },
    shard,
    objectName: 't_acme_12345678',
    shared: 'd_cache_12345678',
    tenantId: 'ns-acme',
    address: { database: '0' },
  }
}

const textOf = ({ data = {} }: Secret): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))

async function stored({ client, namespace }: Lab): Promise<Secret> {
  const found = await client.get(SECRETS, { namespace, name: 'acme-cache' })
  if (!found) throw new Error('there is no Secret acme-cache')
  return found
}

test('a Secret is made by one request, and is left alone from then on', async () => {
  const { client, tenant, informer, ...rest } = await lab()
  const secrets = await informer()
  const before = client.requests.byKind()
  const [first] = await ensureCredentials({ client, secrets }, tenant, bindingWith())
  const [again] = await ensureCredentials({ client, secrets }, tenant, bindingWith())
  expect(again).toEqual(first)
  expect(client.requests.byKind()).toEqual({ ...before, 'create secrets 201': 1 })
  const there = textOf(await stored({ client, tenant, informer, ...rest }))
  expect(there).toMatchObject({ password: first?.password, host: 'cache.example' })
})

test('a Secret that is not known yet keeps its password, and nothing is written', async () => {
  const all = await lab()
  const { client, tenant, informer } = all
  const [first] = await ensureCredentials({ client, secrets: await informer() }, tenant, bindingWith())
  const before = await stored(all)
  const [second] = await ensureCredentials({ client, secrets: await informer(false) }, tenant, bindingWith())
  expect(second).toEqual(first)
  expect(await stored(all)).toEqual(before)
})

test('a Secret whose label somebody took away is found all the same, and gets it and whatever else it lost back', async () => {
  const all = await lab()
  const { client, tenant, informer } = all
  const secrets = await informer()
  const [first] = await ensureCredentials({ client, secrets }, tenant, bindingWith())
  const damage = { metadata: { labels: { [LABEL_MANAGED]: null } }, data: { host: null } }
  await client.patch(SECRETS, (await stored(all)).metadata, damage, { type: 'merge' })
  const blind = await informer()
  const [again] = await ensureCredentials({ client, secrets: blind }, tenant, bindingWith())
  expect(again).toEqual(first)
  const there = await stored(all)
  expect(there.metadata.labels).toEqual({ [LABEL_MANAGED]: 'true' })
  expect(textOf(there)).toMatchObject({ host: 'cache.example', password: first?.password })
})

test("a Secret of somebody else's is neither changed nor added to", async () => {
  const all = await lab()
  const { client, namespace, tenant, informer } = all
  const theirs = { metadata: { namespace, name: 'acme-cache' }, data: { mine: Buffer.from('kept').toString('base64') } }
  await client.create<Secret>(SECRETS, theirs)
  const before = await stored(all)
  const tried = ensureCredentials({ client, secrets: await informer() }, tenant, bindingWith())
  await expect(tried).rejects.toMatchObject({ code: 'SecretConflict' })
  expect(await stored(all)).toEqual(before)
})

test('a key that the template no longer has goes, a value changed by hand comes back, and the password stays', async () => {
  const all = await lab()
  const { client, tenant, informer } = all
  const secrets = await informer()
  const [first] = await ensureCredentials({ client, secrets }, tenant, bindingWith({ REDIS_URL: '$(uri)' }))
  expect(textOf(await stored(all))).toHaveProperty('REDIS_URL')
  const damage = { data: { host: Buffer.from('elsewhere').toString('base64') } }
  secrets.observe(keepSecret(await client.patch(SECRETS, (await stored(all)).metadata, damage, { type: 'merge' })))
  const [again] = await ensureCredentials({ client, secrets }, tenant, bindingWith({ CACHE: '$(host)' }))
  expect(again).toEqual(first)
  const there = textOf(await stored(all))
  expect(there).not.toHaveProperty('REDIS_URL')
  expect(there).toMatchObject({ CACHE: 'cache.example', host: 'cache.example', password: first?.password })
})

test('a Secret that changed since it was known is not overwritten', async () => {
  const all = await lab()
  const { client, tenant, informer } = all
  const secrets = await informer(false)
  await ensureCredentials({ client, secrets }, tenant, bindingWith())
  await client.patch(SECRETS, (await stored(all)).metadata, { metadata: { labels: { a: 'b' } } }, { type: 'merge' })
  const tried = ensureCredentials({ client, secrets }, tenant, bindingWith({ CACHE: '$(host)' }))
  await expect(tried).rejects.toMatchObject({ code: 'KubernetesConflict' })
})
