import { pbkdf2Sync } from 'node:crypto'
import { CoreV1Api, KubeConfig, RbacAuthorizationV1Api } from '@kubernetes/client-node'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { freshNamespace, freshSuffix, useStack } from '../../test/support/stack.ts'
import { systemClock } from '../clock.ts'
import { createClient, type KubeClient } from '../kube/client.ts'
import { createAuthorize } from './authorize.ts'
import { serve, type TelemetryOptions, type TelemetryServer } from './http.ts'

const PROFILE = '/debug/pprof/profile'
const HEAP = '/debug/pprof/heap'
const SNAPSHOT = '/debug/pprof/heapsnapshot'

const PATIENT = { timeout: 30_000 }

const direct = new KubeConfig()
const role = `profiles-${freshSuffix()}`
const open: TelemetryServer[] = []
let namespace: string
let kube: KubeClient
let allowed: string
let stranger: string

async function tokenOf(name: string): Promise<string> {
  await direct.makeApiClient(CoreV1Api).createNamespacedServiceAccount({ namespace, body: { metadata: { name } } })
  const { status } = await direct.makeApiClient(CoreV1Api).createNamespacedServiceAccountToken({
    namespace,
    name,
    body: { spec: { audiences: [], expirationSeconds: 600 } },
  })
  return status?.token ?? ''
}

beforeAll(async () => {
  direct.loadFromFile(useStack().kubeconfig)
  namespace = await freshNamespace('profiles')
  kube = createClient({ kubeConfig: direct })
  allowed = await tokenOf('allowed')
  stranger = await tokenOf('stranger')
  const rbac = direct.makeApiClient(RbacAuthorizationV1Api)
  const rules = [{ nonResourceURLs: ['/debug/pprof/*', '/metrics'], verbs: ['get'] }]
  await rbac.createClusterRole({ body: { metadata: { name: role }, rules } })
  await rbac.createClusterRoleBinding({
    body: {
      metadata: { name: role },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'ServiceAccount', name: 'allowed', namespace }],
    },
  })
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})
afterAll(async () => {
  const rbac = direct.makeApiClient(RbacAuthorizationV1Api)
  await Promise.allSettled([rbac.deleteClusterRole({ name: role }), rbac.deleteClusterRoleBinding({ name: role })])
  await kube.close()
})

async function start(options: Partial<TelemetryOptions> = {}) {
  const authorize = createAuthorize(kube, systemClock)
  const registry = new Registry()
  const server = await serve({ host: '127.0.0.1', port: 0, registry, ready: () => true, authorize, ...options })
  open.push(server)
  return (path: string, token?: string, signal?: AbortSignal) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: signal ?? null,
    })
}

describe('profiles', () => {
  test('are for those only whom the API server lets get the path', async () => {
    const get = await start({ heapSnapshots: true })
    for (const path of [PROFILE, HEAP, SNAPSHOT]) {
      const anonymous = await get(path)
      expect([path, anonymous.status, anonymous.headers.get('www-authenticate')]).toEqual([path, 401, 'Bearer'])
      expect([path, (await get(path, 'made-up')).status]).toEqual([path, 401])
      expect([path, (await get(path, stranger)).status]).toEqual([path, 403])
    }
    expect((await get(`${PROFILE}?seconds=1`, allowed)).status).toBe(200)
  })

  test('show where the time goes', async () => {
    const get = await start()
    const answer = get(`${PROFILE}?seconds=1`, allowed)
    const until = performance.now() + 1_500
    while (performance.now() < until) {
      pbkdf2Sync('tedious', 'salt', 20_000, 32, 'sha256')
      await new Promise((resolve) => setImmediate(resolve))
    }
    const response = await answer
    expect(response.headers.get('content-disposition')).toContain('.cpuprofile')
    const { nodes, samples } = (await response.json()) as {
      nodes: { callFrame: { functionName: string } }[]
      samples: unknown[]
    }
    expect(samples.length).toBeGreaterThan(10)
    expect(nodes.map(({ callFrame }) => callFrame.functionName)).toContain('pbkdf2Sync')
  })

  test('show what is allocated and kept', async () => {
    const get = await start()
    const answer = get(`${HEAP}?seconds=1`, allowed)
    const kept: unknown[] = []
    for (let round = 0; round < 15; round++) {
      kept.push(allocateConspicuously())
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const text = await (await answer).text()
    expect(kept).toHaveLength(15)
    expect(text).toContain('"allocateConspicuously"')
  })

  test('are taken one at a time, for a minute at most', async () => {
    const get = await start()
    const gone = new AbortController()
    const takePlace = () => get(`${PROFILE}?seconds=60`, allowed, gone.signal).catch(() => undefined)
    const long = [takePlace()]
    const probe = async () => {
      const { status } = await get(`${HEAP}?seconds=1`, allowed)
      // The probe was authorised sooner and had the place itself: the long one was turned away.
      if (status === 200) long.push(takePlace())
      return status
    }
    await expect.poll(probe, PATIENT).toBe(429)
    expect((await get(`${HEAP}?seconds=1`, allowed)).headers.get('retry-after')).toBe('60')
    gone.abort()
    await Promise.all(long)
    // Whoever hangs up leaves the place to the next.
    await expect.poll(async () => (await get(`${HEAP}?seconds=1`, allowed)).status, PATIENT).toBe(200)
    for (const seconds of ['0', '61', '-1', '1.5', 'x', '']) {
      expect([seconds, (await get(`${PROFILE}?seconds=${seconds}`, allowed)).status]).toEqual([seconds, 400])
    }
  })

  test('of everything in memory are off unless they are switched on', async () => {
    const off = await start()
    const refused = await off(SNAPSHOT, allowed)
    expect([refused.status, await refused.text()]).toEqual([404, expect.stringContaining('TENANTRY_HEAP_SNAPSHOTS')])
    const get = await start({ heapSnapshots: true })
    const response = await get(SNAPSHOT, allowed)
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(text.slice(0, 100)).toContain('"snapshot"')
    expect(() => JSON.parse(text)).not.toThrow()
  })

  test('are for nobody when the API server cannot tell', async () => {
    const away = new KubeConfig()
    away.loadFromOptions({
      clusters: [{ name: 'a', server: 'http://127.0.0.1:1', skipTLSVerify: true }],
      users: [{ name: 'a' }],
      contexts: [{ name: 'a', cluster: 'a', user: 'a' }],
      currentContext: 'a',
    })
    const lost = createClient({ kubeConfig: away })
    const get = await start({ authorize: createAuthorize(lost, systemClock) })
    expect((await get(PROFILE, allowed)).status).toBe(503)
    expect((await get('/healthz')).status).toBe(200)
    await lost.close()
    const nobody = await start({ authorize: undefined } as unknown as Partial<TelemetryOptions>)
    expect((await nobody(PROFILE, allowed)).status).toBe(403)
  })
})

describe('/metrics', () => {
  test('is open to all by default and guarded on request; health is never guarded', async () => {
    expect((await (await start())('/metrics')).status).toBe(200)
    const get = await start({ metricsAuth: true })
    expect((await get('/metrics')).status).toBe(401)
    expect((await get('/metrics', stranger)).status).toBe(403)
    expect((await get('/metrics', allowed)).status).toBe(200)
    expect((await get('/healthz')).status).toBe(200)
    expect((await get('/readyz')).status).toBe(200)
  })

  test('asks the API server once for many scrapes', async () => {
    const get = await start({ metricsAuth: true })
    const before = kube.requests.count({ verb: 'create' })
    for (let scrape = 0; scrape < 5; scrape++) expect((await get('/metrics', allowed)).status).toBe(200)
    expect(kube.requests.count({ verb: 'create' }) - before).toBe(2)
  })
})

function allocateConspicuously(): unknown {
  return Array.from({ length: 20_000 }, (_, i) => ({ i }))
}
