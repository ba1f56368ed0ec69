/** What the operator's and the API server's own metrics tell about a fleet. */
import { type Counters, seriesOf } from '../metrics.ts'

type Labels = Readonly<Record<string, string>>

/** Sum of a metric's series that `which` chooses. */
export function total(counters: Counters, metric: string, which: (labels: Labels) => boolean = () => true): number {
  return seriesOf(counters, metric)
    .filter(({ labels }) => which(labels))
    .reduce((sum, { value }) => sum + value, 0)
}

/** Sums by name; left out are those of 0, and series without a name. */
export function totals(
  counters: Counters,
  metric: string,
  nameOf: (labels: Labels) => string | undefined,
): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {}
  for (const { labels, value } of seriesOf(counters, metric)) {
    const name = nameOf(labels)
    if (name !== undefined && value !== 0) sums[name] = (sums[name] ?? 0) + value
  }
  return sums
}

const CALLS = 'tenantry_engine_call_duration_seconds_count'

/** Tenants reconciled so far, each as often as it was. */
export const reconciles = (counters: Counters): number =>
  total(counters, 'controller_runtime_reconcile_time_seconds_count', ({ controller }) => controller === 'tenant')

/** Parts of tenants, one for each shard they are on, that were compared with a snapshot of that shard. */
export const comparisons = (counters: Counters): number => total(counters, 'tenantry_comparisons_total')

/** Shards that were read as a whole. */
export const wholeReads = (counters: Counters): number => total(counters, CALLS, ({ op }) => op === 'observe-all')

/** Reads of shards, whole or joint. Each is a constant number of queries. */
export const reads = (counters: Counters): number =>
  total(counters, CALLS, ({ op = '' }) => op === 'observe' || op === 'observe-all')

export const callsByOp = (counters: Counters): Readonly<Record<string, number>> =>
  totals(counters, CALLS, ({ engine, op }) => `${engine} ${op}`)

/** Batches that were sent to engines; a batch without changes is none. */
export const engineWrites = (counters: Counters): number => total(counters, CALLS, ({ op }) => op === 'apply')

/** Objects that wait for work or are worked on, and calls to engines under way. */
export function underWay(counters: Counters): number {
  return (
    total(counters, 'workqueue_depth') +
    total(counters, 'controller_runtime_active_workers') +
    total(counters, 'tenantry_pool_calls')
  )
}

export const readyTenants = (counters: Counters): number =>
  total(
    counters,
    'tenantry_conditions',
    ({ kind, type, status }) => kind === 'Tenant' && type === 'Ready' && status === 'True',
  )

/** By how much timers were late in the last half minute, in milliseconds. */
export const loopDelayMs = (counters: Counters): number =>
  total(counters, 'tenantry_event_loop_delay_seconds', ({ quantile }) => quantile === '0.999') * 1000

const WRITING = new Set(['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE'])
/** What the operator deals with, leases excepted. */
const RESOURCES = new Set(['tenants', 'databases', 'secrets', 'configmaps', 'events', 'namespaces'])

/** Reads the API server's metrics: requests that could change something of ours, by verb and resource. */
export function apiWrites(counters: Counters): Readonly<Record<string, number>> {
  return totalsOf(counters, ({ verb = '', resource = '' }) => WRITING.has(verb) && RESOURCES.has(resource))
}

/** Reads the API server's metrics: requests about what is ours that are no watches, by verb and resource. */
export function apiRequests(counters: Counters): Readonly<Record<string, number>> {
  const ours = new Set(['tenants', 'databases', 'secrets', 'events'])
  return totalsOf(counters, ({ verb = '', resource = '' }) => verb !== 'WATCH' && ours.has(resource))
}

function totalsOf(counters: Counters, which: (labels: Labels) => boolean): Readonly<Record<string, number>> {
  return totals(counters, 'apiserver_request_total', (labels) => {
    const { verb, resource, subresource } = labels
    if (!which(labels)) return undefined
    return subresource ? `${verb} ${resource}/${subresource}` : `${verb} ${resource}`
  })
}

/** Sum over all names. */
export function sum(byName: Readonly<Record<string, number>>): number {
  return Object.values(byName).reduce((all, value) => all + value, 0)
}
