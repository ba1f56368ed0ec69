/** `fair`: how long new tenants take while the whole fleet is compared, and while a Postgres shard hangs. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PRIORITY } from '@tenantry/operator/queue/work-queue.ts'
import { growth } from '../metrics.ts'
import { total, wholeReads } from './counters.ts'
import { renderFair } from './fair-report.ts'
import { type HangingProxy, startProxy } from './hang.ts'
import { during, latencies, type Newcomer, type Newcomers, watchNewcomers } from './newcomers.ts'
import type { OperatorProcess } from './operator-process.ts'
import { type Servers, SHARDS } from './servers.ts'
import { untilDone } from './watch.ts'
import { type Fleet, type FleetOptions, withFleet } from './world.ts'

const WARM_UP = 16
/** A drift interval in which nothing is resynced while something else is measured. */
export const LONG = '1h'
/** So often that a resync is under way most of the time. */
const RESYNC_INTERVAL = '10s'
const RESYNCS = 4
const POLL_MS = 100
/** The controllers that work on nothing else while this is measured. */
const RESYNCING: readonly string[] = ['database', 'shard']
/** The last of the Postgres shards, to which the proxy leads. */
const SICK = SHARDS.postgres - 1

/** Milliseconds to ready. */
export interface Fairness {
  /** Nothing else is going on; on all shards but the one that hangs later, in the middle of it. */
  readonly undisturbed: readonly number[]
  readonly besideHanging: readonly number[]
  readonly duringResync: readonly number[]
  readonly resyncs: number
}

/** Resolves to what is to be printed, JSON on the last line. */
export async function fair(options: FleetOptions): Promise<string> {
  return await withHangingShard(options, async (fleet, proxy) => {
    await fleet.setInterval(LONG)
    await fleet.grow(options.tenants)
    return renderFair(options, await measureFair(fleet, proxy))
  })
}

/** A fleet whose last Postgres shard is reached through a proxy that can hang. */
export async function withHangingShard<T>(
  options: FleetOptions,
  use: (fleet: Fleet, proxy: HangingProxy) => Promise<T>,
): Promise<T> {
  const proxy = await startProxy()
  const reach = (servers: Servers): Servers => {
    return { ...servers, postgres: servers.postgres.map((one, i) => (i === SICK ? proxy.lead(one) : one)) }
  }
  try {
    return await withFleet(options, (fleet) => use(fleet, proxy), reach)
  } finally {
    await proxy.close()
  }
}

/** To be called while the drift interval is `LONG`. */
export async function measureFair(fleet: Fleet, proxy: HangingProxy): Promise<Fairness> {
  const { tenants, profile } = fleet.options
  const operator = await fleet.start({ profile })
  await untilDone(operator, fleet.goalOf(tenants), new Map())
  const newcomers = await watchNewcomers(fleet, isSick)
  try {
    return await measure(fleet, operator, { newcomers, proxy })
  } finally {
    newcomers.close()
    await operator.stop()
  }
}

interface Parts {
  readonly newcomers: Newcomers
  readonly proxy: HangingProxy
}

async function measure(fleet: Fleet, operator: OperatorProcess, { newcomers, proxy }: Parts): Promise<Fairness> {
  const { log, newcomers: count } = fleet.options
  await arrive(newcomers, WARM_UP)
  const before = await arrive(newcomers, count)
  log('New tenants came undisturbed')
  proxy.hang()
  const beside = await newcomers.send(count)
  await newcomers.ready(healthy(beside))
  proxy.resume()
  log('New tenants came while a shard hung')
  await newcomers.ready(beside)
  const after = await arrive(newcomers, count)
  log('New tenants came undisturbed once more')
  const { some, resyncs } = await arriveDuringResyncs(fleet, operator, newcomers)
  return {
    undisturbed: latencies(healthy([...before, ...after])),
    besideHanging: latencies(healthy(beside)),
    duringResync: latencies(some),
    resyncs,
  }
}

async function arrive(newcomers: Newcomers, count: number): Promise<readonly Newcomer[]> {
  const some = await newcomers.send(count)
  await newcomers.ready(some)
  return some
}

/** Those on other Postgres shards. */
function healthy(some: readonly Newcomer[]): readonly Newcomer[] {
  return some.filter(({ index }) => !isSick(index))
}

function isSick(index: number): boolean {
  return index % SHARDS.postgres === SICK
}

/** The new interval is a change of the Databases, after which all tenants are looked at with priority: that comes first. */
async function arriveDuringResyncs(
  fleet: Fleet,
  operator: OperatorProcess,
  newcomers: Newcomers,
): Promise<{ readonly some: readonly Newcomer[]; readonly resyncs: number }> {
  const { options } = fleet
  await fleet.setInterval(RESYNC_INTERVAL)
  await untilDone(operator, fleet.goalOf(options.tenants))
  const over = new AbortController()
  const [{ intervals, resyncs }, sent] = await Promise.all([
    followResyncs(operator, fleet).finally(() => over.abort()),
    newcomers.sendUntil(over.signal),
  ])
  await newcomers.ready(sent)
  const some = during(sent, intervals)
  options.log(`${some.length} of ${sent.length} new tenants came during ${resyncs.toFixed(1)} resyncs`)
  return { some, resyncs }
}

/** When resyncs were under way: a Database is worked on, a shard is compared, or tenants wait to be looked at again. */
async function followResyncs(
  operator: OperatorProcess,
  { options: { signal }, shards }: Fleet,
): Promise<{ readonly intervals: readonly (readonly [number, number])[]; readonly resyncs: number }> {
  const intervals: (readonly [number, number])[] = []
  const before = await operator.counters()
  let lastAt = performance.now()
  for (;;) {
    await sleep(POLL_MS, undefined, { signal })
    const at = performance.now()
    const seen = await operator.counters()
    if (!seen || !before) throw new Error('the operator does not tell its metrics')
    const resyncing =
      total(seen, 'controller_runtime_active_workers', ({ controller = '' }) => RESYNCING.includes(controller)) +
      total(seen, 'workqueue_depth', ({ priority }) => priority === String(PRIORITY.resync))
    if (resyncing > 0) intervals.push([lastAt, at])
    lastAt = at
    const resyncs = wholeReads(growth(before, seen)) / shards
    if (resyncs >= RESYNCS) return { intervals, resyncs }
  }
}
