/** `fleet`: a cold start over tenants that are as they should be, a drift resync, and doing nothing. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Counters, growth } from '../metrics.ts'
import {
  apiRequests,
  apiWrites,
  callsByOp,
  comparisons,
  engineWrites,
  reads,
  readyTenants,
  reconciles,
  sum,
  total,
  totals,
  wholeReads,
} from './counters.ts'
import { renderFleet } from './fleet-report.ts'
import { type Floor, measureFloor } from './floor.ts'
import { type OperatorProcess, until } from './operator-process.ts'
import { untilDone } from './watch.ts'
import { type Fleet, type FleetOptions, withFleet } from './world.ts'

/** The smaller fleet, whose resync must not take fewer queries. */
const SMALLER = 10
const IDLE_MS = 30_000

export interface Work {
  readonly seconds: number
  /** Requests that could change something, by verb and resource. */
  readonly apiWrites: Readonly<Record<string, number>>
  readonly engineWrites: number
  /** Calls to engines by engine and kind. */
  readonly calls: Readonly<Record<string, number>>
  /** Reads of shards among them, and those of a whole shard. */
  readonly reads: number
  readonly wholeReads: number
  readonly reconciles: number
  /** Parts of tenants that were compared with a snapshot. */
  readonly comparisons: number
  /** p99.9 of how late timers were; the greatest of all half minutes. */
  readonly loopDelayMs: number
}

export interface Stage {
  readonly tenants: number
  readonly floor: Floor
  /** From the start of the process. */
  readonly cold: Work & { readonly readySeconds: number }
  /** Time in which something was done, from the first shard's read to the last tenant's comparison. */
  readonly resync: Work
  readonly idle: {
    readonly perSecond: number
    readonly byVerb: Readonly<Record<string, number>>
    readonly others: number
  }
  /** In MiB; undefined where it cannot be read. */
  readonly peakMemory: number | undefined
}

/** Resolves to what is to be printed, JSON on the last line. */
export async function fleet(options: FleetOptions): Promise<string> {
  return await withFleet(options, async (one) => renderFleet(options, await measureFleet(one)))
}

/** A tenth of the fleet, and the whole of it. */
export async function measureFleet(one: Fleet): Promise<readonly Stage[]> {
  const { tenants } = one.options
  return [await measure(one, Math.max(1, Math.round(tenants / SMALLER))), await measure(one, tenants)]
}

async function measure(fleet: Fleet, tenants: number): Promise<Stage> {
  const { log, profile } = fleet.options
  await fleet.grow(tenants)
  const all = tenants + fleet.samples
  const goal = fleet.goalOf(tenants)
  const floor = await measureFloor(fleet.api, fleet.tiers)
  log(`The floor: ${floor.list.toFixed(1)} s to list ${tenants} tenants, ${floor.read.toFixed(1)} s to read the shards`)
  const servedBefore = await fleet.served()
  const operator = await fleet.start({ profile: tenants === fleet.options.tenants ? profile : undefined })
  const readySeconds = await untilReady(operator, goal.signal)
  const started = await untilDone(operator, goal, new Map())
  const servedCold = await fleet.served()
  const ready = readyTenants(started.after)
  if (ready !== all) throw new Error(`after the cold start ${ready} of ${all} tenants are ready`)
  const seconds = (started.endedAt - operator.startedAt) / 1000
  const cold = { ...workIn(started, servedBefore, servedCold), seconds, readySeconds }
  log(`Cold start over ${tenants} tenants: ${seconds.toFixed(1)} s`)
  const resynced = await untilDone(operator, goal)
  const resync = workIn(resynced, servedCold, await fleet.served())
  log(`Resync of ${tenants} tenants: ${resync.seconds.toFixed(1)} s`)
  const idle = await rest(fleet, operator)
  const peakMemory = operator.peakMemory()
  await operator.stop()
  return { tenants, floor, cold, resync, idle, peakMemory }
}

async function untilReady(operator: OperatorProcess, signal: AbortSignal): Promise<number> {
  await until('the operator to have listed everything', () => operator.ready(), { signal })
  return (performance.now() - operator.startedAt) / 1000
}

type Done = Awaited<ReturnType<typeof untilDone>>

function workIn({ busyMs, before, after, loopDelayMs: delay }: Done, servedBefore: Counters, served: Counters): Work {
  const grown = growth(before, after)
  return {
    seconds: busyMs / 1000,
    apiWrites: apiWrites(growth(servedBefore, served)),
    engineWrites: engineWrites(grown) + total(grown, 'tenantry_changes_total'),
    calls: callsByOp(grown),
    reads: reads(grown),
    wholeReads: wholeReads(grown),
    reconciles: reconciles(grown),
    comparisons: comparisons(grown),
    loopDelayMs: delay,
  }
}

/** Half a minute in which nothing happens; between two resyncs, as long as the interval allows it. */
async function rest(fleet: Fleet, operator: OperatorProcess): Promise<Stage['idle']> {
  const { signal } = fleet.options
  const [before, served] = [await operator.counters(), await fleet.served()]
  const begin = performance.now()
  await sleep(IDLE_MS, undefined, { signal })
  const [after, servedAfter] = [await operator.counters(), await fleet.served()]
  const seconds = (performance.now() - begin) / 1000
  if (!before || !after) throw new Error('the operator does not tell its metrics')
  if (comparisons(growth(before, after)) > 0) throw new Error('a resync fell into the rest: choose a longer --interval')
  const requests = growth(before, after)
  const byVerb = totals(requests, 'rest_client_request_duration_seconds_count', ({ verb = '' }) => verb)
  return {
    perSecond: total(requests, 'rest_client_requests_total') / seconds,
    byVerb,
    others: sum(apiRequests(growth(served, servedAfter))),
  }
}
