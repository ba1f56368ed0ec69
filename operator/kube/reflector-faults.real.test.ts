import { describe, expect, test } from 'vitest'
import { freshNamespace, useStack } from '../../test/support/stack.ts'
import { systemClock } from '../clock.ts'
import { createInformer } from './reflector.ts'
import type { Answer, ProxiedWatch } from './testing/fault-proxy.ts'
import {
  currentWatch,
  hurried,
  labelled,
  startInformer,
  until,
  untilEqual,
  useInformerBench,
} from './testing/informer-bench.ts'
import { CONFIG_MAPS, type ConfigMap, SECRETS } from './types.ts'

const bench = useInformerBench(async () => ({
  kubeconfig: useStack().kubeconfig,
  namespace: await freshNamespace('informer'),
}))
const create = (name: string, data?: Record<string, string>): Promise<ConfigMap> =>
  bench.kube.create(CONFIG_MAPS, labelled(bench, name, data))
const remove = (name: string): Promise<boolean> => bench.kube.remove(CONFIG_MAPS, { namespace: bench.namespace, name })
const lists = (): string[] => bench.proxy.requests.filter((line) => !line.includes('watch=true'))
const initialWatches = (): string[] => bench.proxy.requests.filter((line) => line.includes('sendInitialEvents=true'))

const ANSWERS: readonly Answer[] = [
  'drop',
  { status: 503 },
  { status: 410, body: { kind: 'Status', code: 410, reason: 'Expired' } },
  { status: 429, headers: { 'retry-after': '1' } },
]

describe('an informer', () => {
  test('lists in pages where the server does not stream listings, and does not ask again', async () => {
    await create('a')
    const refusal = { kind: 'Status', code: 422, reason: 'Invalid', message: 'sendInitialEvents is forbidden' }
    bench.proxy.answer = (_method, url) =>
      url.searchParams.has('sendInitialEvents') ? { status: 422, body: refusal } : undefined
    const watched = startInformer(bench)
    await watched.informer.synced()
    await untilEqual(bench, watched)
    expect([initialWatches().length, lists().length]).toEqual([1, 1])
    ;(await currentWatch(bench)).inject(
      JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Gone' } }),
    )
    await until('listed again', () => lists().length === 2)
    expect(initialWatches().length).toBe(1)
  })

  test('begins a listing anew when its pages have expired', async () => {
    await Promise.all(Array.from({ length: 501 }, (_, n) => create(`page-${n}`)))
    let expired = true
    bench.proxy.answer = (_method, url) => {
      if (!expired || !url.searchParams.has('continue')) return undefined
      expired = false
      return { status: 410, body: { kind: 'Status', code: 410, reason: 'Expired' } }
    }
    const watched = startInformer(bench, { watchList: false })
    await watched.informer.synced()
    expect(watched.informer.store.size).toBe(501)
    await untilEqual(bench, watched)
  })

  test('lists anew when a watch stays silent from its first moment', async () => {
    await create('a')
    const watched = startInformer(bench, { staleAfterMs: 300, clock: systemClock })
    await watched.informer.synced()
    const first = await currentWatch(bench)
    await until('a second watch', () => bench.proxy.watches.length > 0 && bench.proxy.watches.at(-1) !== first)
    ;(await currentWatch(bench)).hold()
    await until('it is listed again', () => watched.told.includes('relisted stale'))
    await create('b')
    await untilEqual(bench, watched)
  })

  test('does not make a request storm of a server that says 410 to everything', async () => {
    await create('a')
    const waits: number[] = []
    const noted = hurried(100, waits)
    bench.proxy.answer = () => ({ status: 410, body: { kind: 'Status', code: 410, reason: 'Expired' } })
    startInformer(bench, { clock: noted, random: () => 0 })
    await until('some attempts', () => bench.proxy.requests.length >= 5)
    const pauses = waits.filter((ms) => ms < 100_000)
    expect(pauses.slice(0, 3)).toEqual([1_600, 3_200, 6_400])
  })

  test('survives a storm of faults and ends equal to the server', async () => {
    const watched = startInformer(bench, { staleAfterMs: 1_000 })
    await watched.informer.synced()
    let seed = 42
    const chance = (): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return seed / 2 ** 31
    }
    bench.proxy.answer = () => ANSWERS[Math.floor(chance() * 10)]
    const harms: ((watch: ProxiedWatch) => void)[] = [
      (watch) => watch.drop(),
      (watch) => watch.truncateNext(),
      (watch) => watch.inject('{"type":'),
      (watch) => watch.hold(),
      (watch) => watch.inject('{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}'),
    ]
    for (let n = 0; n < 150; n++) {
      const name = `s${Math.floor(chance() * 20)}`
      if (chance() < 0.3) await remove(name)
      else watched.informer.observe(await bench.kube.apply(CONFIG_MAPS, labelled(bench, name, { n: String(n) })))
      const watch = bench.proxy.watches.at(-1)
      if (watch && n % 10 === 9) harms[Math.floor(chance() * harms.length)]?.(watch)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    bench.proxy.answer = () => undefined
    for (const watch of bench.proxy.watches) watch.drop()
    await untilEqual(bench, watched)
  })

  test('never tells the log what a Secret holds', async () => {
    const lines: unknown[] = []
    const note = (...line: unknown[]): void => void lines.push(line)
    const log = { debug: note, info: note, warn: note, error: note, child: () => log } as never
    const canary = Buffer.from('canary').toString('base64')
    await bench.kube.create(SECRETS, {
      metadata: { name: 's', namespace: bench.namespace },
      data: { password: canary },
    })
    const informer = createInformer({
      client: bench.through,
      type: SECRETS,
      namespace: bench.namespace,
      log,
      clock: hurried(10),
    })
    informer.start(bench.stop.signal)
    await informer.synced()
    ;(await currentWatch(bench)).inject(
      `{"type":"ADDED","object":{"metadata":{"name":"x"},"data":{"password":"${canary}"}}}`,
    )
    await until('the failure is logged', () => JSON.stringify(lines).includes('watch interrupted'))
    expect(JSON.stringify(lines)).not.toContain(canary)
  })
})
