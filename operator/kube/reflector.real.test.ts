import { describe, expect, test } from 'vitest'
import { freshNamespace, useStack } from '../../test/support/stack.ts'
import { systemClock } from '../clock.ts'
import { createClient } from './client.ts'
import type { ProxiedWatch } from './testing/fault-proxy.ts'
import {
  currentWatch,
  hurried,
  labelled,
  startInformer,
  until,
  untilEqual,
  useInformerBench,
} from './testing/informer-bench.ts'
import { CONFIG_MAPS, type ConfigMap } from './types.ts'

const bench = useInformerBench(async () => ({
  kubeconfig: useStack().kubeconfig,
  namespace: await freshNamespace('informer'),
}))
const create = (name: string, data?: Record<string, string>): Promise<ConfigMap> =>
  bench.kube.create(CONFIG_MAPS, labelled(bench, name, data))
const remove = (name: string): Promise<boolean> => bench.kube.remove(CONFIG_MAPS, { namespace: bench.namespace, name })
const lists = (): string[] => bench.proxy.requests.filter((line) => !line.includes('watch=true'))
const change = (name: string, data: Record<string, string>): Promise<ConfigMap> =>
  bench.kube.patch(CONFIG_MAPS, { namespace: bench.namespace, name }, { data }, { type: 'merge' })

describe.each([{ watchList: true }, { watchList: false }])('an informer with watchList $watchList', ({ watchList }) => {
  test('holds what there is, follows what happens, and keeps no managedFields', async () => {
    await create('a', { team: 'red' })
    await create('b', { team: 'blue' })
    await bench.kube.create(CONFIG_MAPS, { metadata: { name: 'unlabelled', namespace: bench.namespace } })
    const watched = startInformer(bench, { watchList })
    const { informer, changes } = watched
    expect(informer.hasSynced).toBe(false)
    await informer.synced()
    expect(informer.hasSynced).toBe(true)
    expect([...changes].sort()).toEqual(['list added a', 'list added b'])
    expect(informer.store.get(`${bench.namespace}/a`)).toMatchObject({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      data: { team: 'red' },
    })
    changes.length = 0
    await create('c', { team: 'red' })
    await change('a', { team: 'blue' })
    await remove('b')
    await until('three changes are told', () => changes.length === 3)
    expect(changes).toEqual(['watch added c', 'watch updated a', 'watch deleted b'])
    await untilEqual(bench, watched)
    expect(informer.store.byIndex('team', 'blue').map(({ metadata }) => metadata.name)).toEqual(['a'])
    expect(JSON.stringify(informer.store.list())).not.toContain('managedFields')
    expect(informer.lastContactMs).toBeLessThan(60_000)
    expect(lists().length > 0).toBe(!watchList)
  })

  test('reads more than a page, and asks only for its selectors, with bookmarks', async () => {
    await Promise.all(Array.from({ length: 620 }, (_, n) => create(`many-${n}`)))
    const watched = startInformer(bench, { watchList })
    await watched.informer.synced()
    expect(watched.informer.store.size).toBe(620)
    await untilEqual(bench, watched)
    await currentWatch(bench)
    expect(lists().length).toBe(watchList ? 0 : 2)
    for (const line of bench.proxy.requests) expect(line).toContain('labelSelector=test%3Dyes')
    for (const { url } of bench.proxy.watches) {
      expect(url.searchParams.get('allowWatchBookmarks')).toBe('true')
      const seconds = Number(url.searchParams.get('timeoutSeconds'))
      expect(seconds).toBeGreaterThanOrEqual(300)
      expect(seconds).toBeLessThanOrEqual(600)
    }
  })

  test.each([
    ['a dropped connection', (watch: ProxiedWatch) => watch.drop(), 'error'],
    ['a line that is no event', (watch: ProxiedWatch) => watch.inject('garbage'), 'error'],
    ['an orderly end', (watch: ProxiedWatch) => watch.end(), undefined],
    ['an end in the middle of a line', (watch: ProxiedWatch) => watch.end('{"type":"ADDED","obj'), 'error'],
  ])('goes on where it was after %s', async (_title, harm, end) => {
    await create('a')
    const watched = startInformer(bench, { watchList })
    await watched.informer.synced()
    const watch = await currentWatch(bench)
    // The answer is held back until something was missed.
    await create('seen')
    await until('the event arrived', () => watched.informer.store.size === 2)
    bench.proxy.answer = () => ({ status: 503 })
    harm(watch)
    await create('missed')
    await remove('a')
    bench.proxy.answer = () => undefined
    await untilEqual(bench, watched)
    expect(watched.told.filter((line) => line.startsWith('relisted'))).toEqual(['relisted initial'])
    if (end) expect(watched.told).toContain(end)
    expect(watched.changes).toContain('watch deleted a')
  })

  test('loses nothing to an event that is cut off', async () => {
    const watched = startInformer(bench, { watchList })
    await watched.informer.synced()
    const watch = await currentWatch(bench)
    watch.truncateNext()
    await create('cut')
    await until('the watch has ended', () => watch.ended)
    await untilEqual(bench, watched)
    expect(watched.changes).toEqual(['watch added cut'])
  })

  test.each([
    ['in the stream', true],
    ['as an HTTP status', false],
  ])('lists again after 410 %s, and makes up the deletions', async (_title, inStream) => {
    await create('stays')
    await create('goes')
    const watched = startInformer(bench, { watchList })
    await watched.informer.synced()
    const watch = await currentWatch(bench)
    const status = {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      code: 410,
      reason: 'Expired',
      message: 'too old',
    }
    let expired = !inStream
    watch.hold()
    await remove('goes')
    await create('comes')
    bench.proxy.answer = (_method, url) => {
      if (!expired || !url.searchParams.has('resourceVersion')) return undefined
      expired = false
      return { status: 410, body: status }
    }
    if (inStream) watch.inject(JSON.stringify({ type: 'ERROR', object: status }))
    else watch.drop()
    await untilEqual(bench, watched)
    expect(watched.told).toContain('expired')
    expect(watched.told.filter((line) => line.startsWith('relisted'))).toEqual(['relisted initial', 'relisted expired'])
    expect(watched.changes).toContain('list deleted goes')
    expect(watched.changes).toContain('list added comes')
    expect(watched.changes.filter((line) => line.endsWith('stays'))).toEqual(['list added stays'])
  })

  test('notices a connection that is open and dead, and reconnects without listing again', async () => {
    await create('a')
    const watched = startInformer(bench, { watchList, staleAfterMs: 400, clock: systemClock })
    await watched.informer.synced()
    const watch = await currentWatch(bench)
    await create('b')
    await until('the event arrived', () => watched.informer.store.size === 2)
    watch.hold()
    await create('c')
    await until('the dead watch is given up', () => watch.ended)
    await untilEqual(bench, watched)
    expect(watched.told).toContain('stale')
  })

  test('shows an own write at once, and the events that it overtook do not undo it', async () => {
    await create('a', { step: '0' })
    const watched = startInformer(bench, { watchList })
    const { informer, changes } = watched
    await informer.synced()
    const shown = (): string | undefined => informer.store.get(`${bench.namespace}/a`)?.data?.step
    const watch = await currentWatch(bench)
    watch.hold()
    await change('a', { step: '1' })
    const written = await change('a', { step: '2' })
    expect(shown()).toBe('0')
    informer.observe(written)
    expect(shown()).toBe('2')
    changes.length = 0
    watch.release()
    await create('after')
    await until('the watch has caught up', () => changes.includes('watch added after'))
    expect(shown()).toBe('2')
    expect(changes).toEqual(['watch updated a', 'watch added after'])
  })

  test('lets an object go when its last finalizer was taken by our own write', async () => {
    const { metadata } = await bench.kube.create(CONFIG_MAPS, {
      ...labelled(bench, 'f'),
      metadata: { ...labelled(bench, 'f').metadata, finalizers: ['test.dev/f'] },
    })
    const watched = startInformer(bench, { watchList })
    const { informer, changes } = watched
    await informer.synced()
    const watch = await currentWatch(bench)
    watch.hold()
    await bench.kube.remove(CONFIG_MAPS, metadata)
    const patch = [{ op: 'remove', path: '/metadata/finalizers' }]
    informer.observe(await bench.kube.patch(CONFIG_MAPS, metadata, patch, { type: 'json' }))
    expect(informer.store.size).toBe(0)
    watch.release()
    await create('after')
    await until('the watch has caught up', () => informer.store.size === 1)
    expect(changes).toEqual(['list added f', 'write deleted f', 'watch added after'])
  })

  test('waits longer after each failure, and heals by itself', async () => {
    const waits: number[] = []
    const noted = hurried(100, waits)
    const client = createClient({
      kubeConfig: bench.proxy.kubeConfig,
      clock: hurried(1_000_000),
    })
    bench.proxy.answer = (_method, url) => (url.searchParams.has('watch') ? { status: 500 } : undefined)
    await create('a')
    const watched = startInformer(bench, { watchList, client, clock: noted, random: () => 0 })
    await until('seven failures', () => waits.filter((ms) => ms < 100_000).length >= 7)
    expect(waits.filter((ms) => ms < 100_000).slice(0, 7)).toEqual([800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000])
    bench.proxy.answer = () => undefined
    await watched.informer.synced()
    await untilEqual(bench, watched)
    await client.close()
  })

  test('waits as long as a 429 asks for', async () => {
    const waits: number[] = []
    const noted = hurried(100, waits)
    let refusals = 1
    bench.proxy.answer = (_method, url) =>
      url.searchParams.has('watch') && refusals-- > 0 ? { status: 429, headers: { 'retry-after': '21' } } : undefined
    const watched = startInformer(bench, { watchList, clock: noted })
    await watched.informer.synced()
    await currentWatch(bench)
    expect(waits).toContain(21_000)
  })

  test('stops when it is told to, and says so to whoever waits for the first listing', async () => {
    bench.proxy.answer = () => ({ status: 500 })
    const watched = startInformer(bench, { watchList })
    await until('a request was made', () => bench.proxy.requests.length > 0)
    bench.stop.abort()
    await expect(watched.informer.synced()).rejects.toMatchObject({ code: 'KubernetesUnavailable' })
    await until('it has stopped', () => watched.told.includes('stopped'))
    const { length } = bench.proxy.requests
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(bench.proxy.requests.length).toBe(length)
  })
})
