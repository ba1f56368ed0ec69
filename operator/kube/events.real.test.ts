import { KubeConfig } from '@kubernetes/client-node'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshNamespace, useStack } from '../../test/support/stack.ts'
import { FakeClock } from '../queue/fake-clock.ts'
import { createClient, type KubeClient } from './client.ts'
import { createRecorder, type EventDetails, type EventSubject, type Recorder } from './events.ts'
import { type FaultProxy, openFaultProxy } from './testing/fault-proxy.ts'
import { hurried } from './testing/informer-bench.ts'
import { CONFIG_MAPS, EVENTS, type KubeEvent } from './types.ts'

let namespace: string
let kube: KubeClient
let through: KubeClient
let proxy: FaultProxy
let clock: FakeClock
let recorder: Recorder
let about: EventSubject

const details: EventDetails = { type: 'Normal', reason: 'Repaired', action: 'Apply', note: 'role put right' }
const events = async (): Promise<readonly KubeEvent[]> => (await kube.list(EVENTS, { namespace })).items

beforeEach(async () => {
  const config = new KubeConfig()
  config.loadFromFile(useStack().kubeconfig)
  namespace = await freshNamespace('events')
  proxy = await openFaultProxy(config)
  kube = createClient({ kubeConfig: config })
  through = createClient({ kubeConfig: proxy.kubeConfig, clock: hurried(1_000) })
  clock = new FakeClock(new Date().toISOString())
  recorder = createRecorder({ client: through, clock, component: 'tenantry.dev/operator', instance: 'operator-0' })
  const { metadata } = await kube.create(CONFIG_MAPS, { metadata: { name: 'subject', namespace } })
  about = { apiVersion: 'v1', kind: 'ConfigMap', metadata }
})
afterEach(async () => {
  await Promise.all([kube.close(), through.close(), proxy.close()])
})

describe('the event recorder', () => {
  test('writes an event about an object', async () => {
    recorder.event(about, { ...details, type: 'Warning' })
    await recorder.flush()
    const [event, ...others] = await events()
    expect(others).toEqual([])
    expect(event).toMatchObject({
      regarding: { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'subject', uid: about.metadata.uid },
      type: 'Warning',
      reason: 'Repaired',
      action: 'Apply',
      note: 'role put right',
      reportingController: 'tenantry.dev/operator',
      reportingInstance: 'operator-0',
    })
    expect(event).not.toHaveProperty('series')
  })

  test('counts what is repeated within six minutes, in one more write a minute at most', async () => {
    for (let second = 0; second < 120; second++) {
      recorder.event(about, details)
      await clock.advance(1_000)
    }
    await recorder.flush()
    const [event, ...others] = await events()
    expect(others).toEqual([])
    expect(event?.series?.count).toBe(120)
    expect(through.requests.writes()).toBeLessThanOrEqual(4)
    await clock.advance(6 * 60_000)
    recorder.event(about, details)
    await recorder.flush()
    expect((await events()).length).toBe(2)
  })

  test('gives an object 25 events and then one in five minutes, and others theirs', async () => {
    for (let n = 0; n < 100; n++) recorder.event(about, { ...details, note: `note ${n}` })
    recorder.event({ ...about, metadata: { ...about.metadata, uid: 'another' } }, details)
    await recorder.flush()
    expect((await events()).length).toBe(26)
    await clock.advance(300_000)
    for (let n = 0; n < 100; n++) recorder.event(about, { ...details, note: `later ${n}` })
    await recorder.flush()
    expect((await events()).length).toBe(27)
  })

  test('writes about an object without a namespace into the namespace default', async () => {
    const name = `cluster-${namespace}`
    recorder.event({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, details)
    await recorder.flush()
    const { items } = await kube.list(EVENTS, { namespace: 'default' })
    expect(items.filter(({ regarding }) => regarding.name === name).length).toBe(1)
  })

  test('cuts what is too long, between characters', async () => {
    const long = { ...about, metadata: { ...about.metadata, name: 'n'.repeat(253) } }
    recorder.event(long, {
      ...details,
      reason: 'R'.repeat(500),
      action: 'A'.repeat(500),
      note: '\u{1F418}'.repeat(1_000),
    })
    await recorder.flush()
    const [event] = await events()
    expect(event?.note).toMatch(/^(\u{1F418})+…$/u)
    expect(Buffer.byteLength(event?.note ?? '')).toBeLessThanOrEqual(1_024)
    expect([event?.reason.length, event?.action.length]).toEqual([128, 128])
  })

  test('writes once when the answer to the first attempt was lost, and again when it was refused', async () => {
    let failures = 2
    proxy.answer = () => (failures-- > 0 ? { status: 503 } : undefined)
    recorder.event(about, details)
    const flushed = recorder.flush()
    for (let n = 0; n < 200 && failures >= 0; n++) {
      await clock.advance(1_000)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await flushed
    expect((await events()).length).toBe(1)
  })

  test('never fails, whatever the server says, and goes on with the next', async () => {
    const nowhere = { ...about, metadata: { ...about.metadata, namespace: `no-${namespace}`, uid: 'nowhere' } }
    recorder.event(nowhere, details)
    recorder.event({} as never, details)
    recorder.event(about, details)
    await recorder.flush()
    expect((await events()).length).toBe(1)
  })

  test('begins anew when the event it was counting is gone', async () => {
    recorder.event(about, details)
    await recorder.flush()
    for (const { metadata } of await events()) await kube.remove(EVENTS, metadata)
    recorder.event(about, details)
    await recorder.flush()
    recorder.event(about, details)
    await recorder.flush()
    expect((await events()).length).toBe(1)
  })

  test('keeps no more than a thousand waiting however many are recorded at once', async () => {
    proxy.answer = () => ({ status: 201, body: { metadata: { name: 'accepted' } } })
    for (let n = 0; n < 5_000; n++) {
      recorder.event({ ...about, metadata: { ...about.metadata, uid: `uid-${n}` } }, details)
    }
    await recorder.flush()
    expect(through.requests.writes()).toBe(1_001)
  })
})
