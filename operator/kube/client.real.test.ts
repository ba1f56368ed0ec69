import diagnostics from 'node:diagnostics_channel'
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { AppError } from '@tenantry/crds/errors.ts'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { freshNamespace, useStack } from '../../test/support/stack.ts'
import { type Clock, systemClock } from '../clock.ts'
import { createClient, type KubeClient } from './client.ts'
import { statusOf } from './errors.ts'
import type { RequestRecord } from './requests.ts'
import { type FaultProxy, openFaultProxy } from './testing/fault-proxy.ts'
import { CONFIG_MAPS, EVENTS, NAMESPACES, SECRETS } from './types.ts'

const direct = new KubeConfig()
let namespace: string
let proxy: FaultProxy
const clients: KubeClient[] = []
const waits: number[] = []
// The waits are noted, and cut to a hundredth.
const hurried: Clock = {
  ...systemClock,
  setTimeout: (run, ms) => {
    waits.push(ms)
    return systemClock.setTimeout(run, ms / 100)
  },
}

function client(kubeConfig: KubeConfig = direct, onRequest?: (record: RequestRecord) => void): KubeClient {
  const made = createClient({ kubeConfig, clock: hurried, random: () => 0, ...(onRequest ? { onRequest } : {}) })
  clients.push(made)
  return made
}

const object = (name: string, data: Record<string, string> = {}) => ({ metadata: { name, namespace }, data })

beforeAll(async () => {
  direct.loadFromFile(useStack().kubeconfig)
  namespace = await freshNamespace('client')
  proxy = await openFaultProxy(direct)
})
afterEach(async () => {
  proxy.answer = () => undefined
  waits.length = 0
  await Promise.all(clients.splice(0).map((each) => each.close()))
})
afterAll(() => proxy?.close())

describe('the Kubernetes client', () => {
  test('makes 300 requests one after the other over two connections at most', async () => {
    const kube = client()
    let connections = 0
    const count = (): void => void connections++
    diagnostics.subscribe('undici:client:connected', count)
    for (let n = 0; n < 300; n++) await kube.get(NAMESPACES, { name: namespace })
    diagnostics.unsubscribe('undici:client:connected', count)
    expect(connections).toBeGreaterThan(0)
    expect(connections).toBeLessThanOrEqual(2)
    expect(kube.requests.count({ verb: 'get', resource: 'namespaces', code: '200' })).toBe(300)
  })

  test('opens at most two connections for each request at a time, however many requests there are', async () => {
    const kube = client()
    let connections = 0
    const count = (): void => void connections++
    diagnostics.subscribe('undici:client:connected', count)
    const worker = async (): Promise<void> => {
      for (let n = 0; n < 20; n++) await kube.get(NAMESPACES, { name: namespace })
    }
    await Promise.all(Array.from({ length: 16 }, worker))
    diagnostics.unsubscribe('undici:client:connected', count)
    expect(connections).toBeLessThanOrEqual(32)
  })

  test('creates, reads, applies, patches and removes', async () => {
    const kube = client()
    expect(await kube.get(CONFIG_MAPS, { namespace, name: 'a' })).toBeUndefined()
    const created = await kube.create(CONFIG_MAPS, object('a', { by: 'create' }))
    expect(created).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', data: { by: 'create' } })
    expect(created.metadata).not.toHaveProperty('managedFields')
    const applied = await kube.apply(CONFIG_MAPS, object('b', { x: '1', y: '2' }))
    expect((await kube.apply(CONFIG_MAPS, object('b', { y: '3' }))).data).toEqual({ y: '3' })
    expect((await kube.patch(CONFIG_MAPS, applied.metadata, { data: { z: '4' } }, { type: 'merge' })).data).toEqual({
      y: '3',
      z: '4',
    })
    const jsonPatch = [
      { op: 'test', path: '/data/z', value: '4' },
      { op: 'remove', path: '/data/z' },
    ]
    expect((await kube.patch(CONFIG_MAPS, applied.metadata, jsonPatch, { type: 'json' })).data).toEqual({ y: '3' })
    const { items, resourceVersion } = await kube.list(CONFIG_MAPS, { namespace, fieldSelector: 'metadata.name=b' })
    expect(items).toMatchObject([{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'b' } }])
    expect(Number(resourceVersion)).toBeGreaterThan(0)
    expect(await kube.remove(CONFIG_MAPS, applied.metadata)).toBe(true)
    expect(await kube.remove(CONFIG_MAPS, applied.metadata)).toBe(false)
    expect(kube.requests.writes()).toBe(7)
  })

  test('takes fields over from others only by force', async () => {
    const kube = client()
    await kube.create(CONFIG_MAPS, object('owned', { x: 'theirs' }))
    await kube.patch(CONFIG_MAPS, { namespace, name: 'owned' }, { data: { x: 'patched' } }, { type: 'merge' })
    await writeAsAnother('owned', { op: 'replace', path: '/data/x', value: 'other' })
    await expect(kube.apply(CONFIG_MAPS, object('owned', { x: 'ours' }))).rejects.toMatchObject({
      code: 'KubernetesConflict',
      status: 409,
    })
    expect((await kube.apply(CONFIG_MAPS, object('owned', { x: 'ours' }), { force: true })).data).toEqual({ x: 'ours' })
  })

  test('writes to a subresource without touching the rest', async () => {
    const kube = client()
    const name = await freshNamespace('status')
    const conditions = [{ type: 'Checked', status: 'True', reason: 'Test', message: '', lastTransitionTime: null }]
    const status = { status: { conditions } }
    const written = await kube.patch(NAMESPACES, { name }, status, { type: 'merge', subresource: 'status' })
    expect(written).toMatchObject({ status: { conditions: [{ type: 'Checked' }] } })
    expect(kube.requests.count({ resource: 'namespaces/status' })).toBe(1)
  })

  test('deletes only the object that was meant', async () => {
    const kube = client()
    const { metadata } = await kube.create(CONFIG_MAPS, object('meant'))
    const uid = '00000000-0000-0000-0000-000000000000'
    for (const precondition of [{ uid }, { resourceVersion: '1' }]) {
      await expect(kube.remove(CONFIG_MAPS, metadata, precondition)).rejects.toMatchObject({
        code: 'KubernetesConflict',
      })
    }
    expect(await kube.remove(CONFIG_MAPS, metadata, { uid: metadata.uid, propagationPolicy: 'Background' })).toBe(true)
  })

  test('says what was tried, what was wrong and which kind of error it is', async () => {
    const kube = client()
    await kube.create(CONFIG_MAPS, object('taken'))
    const failures = [
      [
        () => kube.create(CONFIG_MAPS, object('taken')),
        409,
        'KubernetesConflict',
        `create configmaps ${namespace}/taken: `,
      ],
      [() => kube.create(CONFIG_MAPS, object('Bad Name')), 422, 'KubernetesRejected', 'Bad Name'],
      [
        () => kube.patch(CONFIG_MAPS, { namespace, name: 'none' }, {}, { type: 'merge' }),
        404,
        'KubernetesRejected',
        'none',
      ],
      [() => kube.list({ ...CONFIG_MAPS, plural: 'nonsense' }), 404, 'KubernetesRejected', 'list nonsense: '],
    ] as const
    for (const [attempt, status, code, text] of failures) {
      const error = await attempt().catch((caught) => caught)
      expect(error).toBeInstanceOf(AppError)
      expect([statusOf(error), error.code]).toEqual([status, code])
      expect(error.message).toContain(text)
    }
  })

  test('never repeats what a Secret holds', async () => {
    const kube = client()
    const canary = 'canary-5f3a'
    const asText = { metadata: { name: 's', namespace }, stringData: { password: { [canary]: canary } }, data: canary }
    const attempts = [
      () => kube.create(SECRETS, asText as never),
      () => kube.apply(SECRETS, asText as never),
      () => kube.patch(SECRETS, { namespace, name: 's' }, { data: { password: canary } }, { type: 'merge' }),
      () => kube.create(SECRETS, { metadata: { name: 's', namespace }, data: { [`${canary} no key`]: canary } }),
    ]
    for (const attempt of attempts) {
      const error = await attempt().catch((caught) => caught)
      expect(error).toBeInstanceOf(AppError)
      expect(JSON.stringify([error.message, error.cause, error.stack])).not.toContain(canary)
    }
  })

  test('waits as long as a 429 asks for, for every verb', async () => {
    const kube = client(proxy.kubeConfig)
    let refusals = 3
    proxy.answer = () => (refusals-- > 0 ? { status: 429, headers: { 'retry-after': '7' } } : undefined)
    await kube.create(CONFIG_MAPS, object('patient'))
    expect(waits).toEqual([7_000, 7_000, 7_000])
    expect(kube.requests.byKind()).toEqual({ 'create configmaps 429': 3, 'create configmaps 201': 1 })
  })

  test('gives up after a few retries, with what the server asked for', async () => {
    const kube = client(proxy.kubeConfig)
    proxy.answer = () => ({ status: 429, headers: { 'retry-after': '1' } })
    const error = await kube.get(CONFIG_MAPS, { namespace, name: 'a' }).catch((caught) => caught)
    expect(error).toMatchObject({ code: 'KubernetesUnavailable', status: 429, retryAfterMs: 1_000 })
    expect(kube.requests.count()).toBe(6)
  })

  test('repeats a read that failed, and never a write that may have happened', async () => {
    const kube = client(proxy.kubeConfig)
    for (const answer of ['drop', { status: 503 }, { status: 500, body: 'not json' }] as const) {
      let failures = 2
      proxy.answer = () => (failures-- > 0 ? answer : undefined)
      expect(await kube.get(CONFIG_MAPS, { namespace, name: 'nothing' })).toBeUndefined()
      failures = 1
      const before = kube.requests.count({ verb: 'create' })
      await expect(kube.create(CONFIG_MAPS, object('once'))).rejects.toMatchObject({ code: 'KubernetesUnavailable' })
      expect(kube.requests.count({ verb: 'create' })).toBe(before + 1)
    }
    expect(await kube.get(CONFIG_MAPS, { namespace, name: 'once' })).toBeUndefined()
  })

  test('takes an answer that is not JSON for no answer', async () => {
    const kube = client(proxy.kubeConfig)
    proxy.answer = () => ({ status: 200, body: '<html>canary</html>' })
    const error = await kube.get(SECRETS, { namespace, name: 'a' }).catch((caught) => caught)
    expect(error).toMatchObject({ code: 'KubernetesUnavailable' })
    expect(JSON.stringify([error.message, String(error.cause)])).not.toContain('canary')
  })

  test('stops waiting when it is aborted, with the reason of the one who aborted', async () => {
    const slow = createClient({ kubeConfig: proxy.kubeConfig })
    proxy.answer = () => ({ status: 429, headers: { 'retry-after': '3600' } })
    const reason = new AppError('Timeout', 'work on a: not done')
    const control = new AbortController()
    const pending = slow.get(CONFIG_MAPS, { namespace, name: 'a' }, { signal: control.signal })
    while (slow.requests.count() === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    control.abort(reason)
    await expect(pending).rejects.toBe(reason)
    await slow.close()
  })

  test('reports each request with verb, resource, code and host', async () => {
    const records: RequestRecord[] = []
    const kube = client(direct, (record) => records.push(record))
    await kube.list(EVENTS, { namespace, limit: 1 })
    const { host } = new URL(direct.getCurrentCluster()?.server ?? '')
    expect(records).toMatchObject([
      { verb: 'list', resource: 'events.events.k8s.io', method: 'GET', code: '200', host },
    ])
  })

  test('streams events, and fails on an error event, on a line that is cut off and on one that is no event', async () => {
    const kube = client(proxy.kubeConfig)
    const endings: [string, object][] = [
      [
        '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n',
        { status: 410 },
      ],
      ['{"type":"ADDED","object":{"metadata":{"name":"ca', { code: 'KubernetesUnavailable' }],
      ['{"type":"ADDED","object":{"metadata":{"name":"canary"}}}\n', { code: 'KubernetesUnavailable' }],
      ['canary\n', { code: 'KubernetesUnavailable' }],
    ]
    for (const [text, expected] of endings) {
      const seen: string[] = []
      const watching = (async () => {
        for await (const { type, object: found } of kube.watch(CONFIG_MAPS, { namespace, sendInitialEvents: true })) {
          seen.push(`${type} ${found.metadata.name}`)
          if (type === 'BOOKMARK') proxy.watches.at(-1)?.end(text)
        }
      })()
      const error = await watching.catch((caught) => caught)
      expect(error).toMatchObject(expected)
      expect(String(error.message)).not.toContain('canary')
      expect(seen).toContain('ADDED kube-root-ca.crt')
    }
  })
})

/** Writes as another field manager, so that a server-side apply has somebody to conflict with. */
async function writeAsAnother(name: string, operation: object): Promise<void> {
  const api = direct.makeApiClient(CoreV1Api)
  await api.patchNamespacedConfigMap({ name, namespace, body: [operation], fieldManager: 'somebody-else' })
}
