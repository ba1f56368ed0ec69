import { KubeConfig } from '@kubernetes/client-node'
import { afterEach, beforeEach } from 'vitest'
import { type Clock, systemClock } from '../../clock.ts'
import { silentLog } from '../../telemetry/log.ts'
import { createClient, type KubeClient } from '../client.ts'
import type { Informer, InformerOptions } from '../informer.ts'
import { createInformer } from '../reflector.ts'
import { CONFIG_MAPS, type ConfigMap } from '../types.ts'
import { deepFreeze } from './deep-freeze.ts'
import { type FaultProxy, openFaultProxy, type ProxiedWatch } from './fault-proxy.ts'

const SELECTOR = 'test=yes'

/** What the tests of informers work with; new for each test. */
export interface InformerBench {
  namespace: string
  proxy: FaultProxy
  /** Straight to the API server. */
  kube: KubeClient
  /** Through the proxy. */
  through: KubeClient
  stop: AbortController
}

/** An informer behind the proxy, with what it was told and what it tells. */
export interface Watched {
  readonly informer: Informer<ConfigMap>
  readonly changes: string[]
  readonly told: string[]
}

/** A clock whose waits are `times` shorter than asked for, while what it measures is not. Notes what was asked for. */
export function hurried(times: number, waits: number[] = []): Clock {
  return {
    ...systemClock,
    setTimeout: (run, ms) => {
      waits.push(ms)
      return systemClock.setTimeout(run, ms / times)
    },
  }
}

/** Sets the bench up before and takes it down after each test of the file. `open` tells where, for each test anew. */
export function useInformerBench(open: () => Promise<{ kubeconfig: string; namespace: string }>): InformerBench {
  const bench = {} as InformerBench
  beforeEach(async () => {
    const { kubeconfig, namespace } = await open()
    const config = new KubeConfig()
    config.loadFromFile(kubeconfig)
    bench.namespace = namespace
    bench.proxy = await openFaultProxy(config)
    bench.kube = createClient({ kubeConfig: config })
    bench.through = createClient({ kubeConfig: bench.proxy.kubeConfig, clock: hurried(10) })
    bench.stop = new AbortController()
  })
  afterEach(async () => {
    bench.stop.abort()
    await Promise.all([bench.kube.close(), bench.through.close(), bench.proxy.close()])
  })
  return bench
}

/** Starts an informer for the bench's labelled ConfigMaps. */
export function startInformer(bench: InformerBench, options: Partial<InformerOptions<ConfigMap>> = {}): Watched {
  const told: string[] = []
  const informer = createInformer<ConfigMap>({
    client: bench.through,
    type: CONFIG_MAPS,
    namespace: bench.namespace,
    labelSelector: SELECTOR,
    indexes: { team: ({ data }) => (data?.team ? [data.team] : []) },
    transform: deepFreeze,
    clock: hurried(10),
    log: silentLog,
    metrics: {
      started: () => undefined,
      stopped: () => told.push('stopped'),
      relisted: (_resource, reason) => told.push(`relisted ${reason}`),
      watchEnded: (_resource, end) => told.push(end),
    },
    ...options,
  })
  const changes: string[] = []
  informer.store.onChange(({ type, object, source }) => changes.push(`${source} ${type} ${object.metadata.name}`))
  informer.start(bench.stop.signal)
  return { informer, changes, told }
}

/** A ConfigMap that the informers select. */
export function labelled({ namespace }: InformerBench, name: string, data: Record<string, string> = {}): ConfigMap {
  return { metadata: { name, namespace, labels: { test: 'yes' } }, data }
}

/** Resolves when the condition holds; fails after half a minute. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const signal = AbortSignal.timeout(30_000)
  while (!condition()) {
    if (signal.aborted) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** The latest watch that is open. */
export async function currentWatch({ proxy }: InformerBench): Promise<ProxiedWatch> {
  await until('a watch is open', () => proxy.watches.length > 0)
  const watch = proxy.watches.at(-1)
  if (!watch) throw new Error('the watch has ended')
  return watch
}

/** Resolves once the store holds exactly what the server has. */
export async function untilEqual({ kube, namespace }: InformerBench, { informer }: Watched): Promise<void> {
  const { items } = await kube.list(CONFIG_MAPS, { namespace, labelSelector: SELECTOR })
  const state = (objects: readonly ConfigMap[]): string =>
    objects
      .map(({ metadata, data }) => `${metadata.name} ${metadata.resourceVersion} ${JSON.stringify(data)}`)
      .sort()
      .join()
  await until('the store is equal to the server', () => state(informer.store.list()) === state(items))
}
