/** New tenants that arrive one after the other, and how long each takes to become ready. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { createInformer, type Informer } from '@tenantry/operator/kube/reflector.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { silentLog } from '@tenantry/operator/telemetry/log.ts'
import { isReady } from '../../../hack/start/tenants.ts'
import { tenantsPath } from '../api.ts'
import { NAMESPACE, SIDE } from '../platform.ts'
import { until } from './operator-process.ts'
import { pinnedTenant } from './seed.ts'
import type { Fleet } from './world.ts'

/** Times of `performance.now()`. */
export interface Newcomer {
  readonly name: string
  /** Which shard of each tier: see tiers.ts. */
  readonly index: number
  readonly sentAt: number
  readyAt?: number
}

export interface Newcomers {
  /** Sends so many over all shards in turn; does not wait until the last are ready. */
  send(count: number): Promise<readonly Newcomer[]>
  /** Sends until `over` aborts. */
  sendUntil(over: AbortSignal): Promise<readonly Newcomer[]>
  /** Waits until all of these are ready. */
  ready(some: readonly Newcomer[]): Promise<void>
  close(): void
}

const NEW = `${SIDE}=new`
/** They come so far apart at least. */
const GAP_MS = 250
/** So many are on their way at most: what is asked for is how long one takes, not how many fit. */
const MOST_AT_A_TIME = 4
const POLL_MS = 10

/** `unheeded`: those that others do not wait for to be sent. */
export async function watchNewcomers(fleet: Fleet, unheeded: (index: number) => boolean): Promise<Newcomers> {
  const { kube: client, api } = fleet
  const { signal } = fleet.options
  const watching = new AbortController()
  const informer = createInformer({ client, type: TENANTS, namespace: NAMESPACE, labelSelector: NEW, log: silentLog })
  informer.start(watching.signal)
  await informer.synced()
  const known = new Map<string, Newcomer>()
  noteReady(informer, known)
  const sendOne = async (): Promise<Newcomer> => {
    const index = known.size
    const name = `new-${String(index).padStart(5, '0')}`
    const newcomer: Newcomer = { name, index, sentAt: performance.now() }
    known.set(name, newcomer)
    const tenant = pinnedTenant(name, fleet.tiers, index, { [SIDE]: 'new' })
    await api.send('POST', tenantsPath(NAMESPACE), JSON.stringify(tenant))
    return newcomer
  }
  const isRoom = async (): Promise<boolean> => {
    const heeded = [...known.values()].filter(({ index, readyAt }) => readyAt === undefined && !unheeded(index))
    return heeded.length < MOST_AT_A_TIME
  }
  const sendWhile = async (more: (sent: number) => boolean): Promise<readonly Newcomer[]> => {
    const sent: Newcomer[] = []
    while (more(sent.length)) {
      sent.push(await sendOne())
      await sleep(GAP_MS, undefined, { signal })
      await until('a new tenant to be ready', isRoom, { signal, timeoutMs: 300_000, pollMs: POLL_MS })
    }
    return sent
  }
  return {
    send: (count) => sendWhile((sent) => sent < count),
    sendUntil: (over) => sendWhile(() => !over.aborted),
    ready: async (some) => {
      const done = async (): Promise<boolean> => some.every(({ readyAt }) => readyAt !== undefined)
      await until('all new tenants to be ready', done, { signal, timeoutMs: 300_000 })
    },
    close: () => watching.abort(),
  }
}

function noteReady({ store }: Informer<Tenant>, known: ReadonlyMap<string, Newcomer>): void {
  store.onChange(({ type, object }) => {
    const newcomer = known.get(object.metadata.name)
    if (type === 'deleted' || !newcomer || newcomer.readyAt !== undefined || !isReady(object)) return
    newcomer.readyAt = performance.now()
  })
}

/** Milliseconds to ready of those that are. */
export function latencies(some: readonly Newcomer[]): readonly number[] {
  return some.flatMap(({ sentAt, readyAt }) => (readyAt === undefined ? [] : [readyAt - sentAt]))
}

/** Those whose way to ready fell at least partly into one of these intervals. */
export function during(
  some: readonly Newcomer[],
  intervals: readonly (readonly [from: number, to: number])[],
): readonly Newcomer[] {
  return some.filter(({ sentAt, readyAt = Number.POSITIVE_INFINITY }) =>
    intervals.some(([from, to]) => sentAt < to && readyAt > from),
  )
}
