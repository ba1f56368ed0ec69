import { type Counters, growth, seriesOf } from './metrics.ts'
import type { Phase } from './stopwatch.ts'

const WRITING = new Set(['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE'])
const POLL_MS = 50

/** Reads the operator's own metrics. `grown`: how much each series grew. */
export function phasesOfOperator(grown: Counters): ReadonlyMap<string, Phase> {
  return new Map([
    ...phasesOf(grown, 'tenantry_engine_call_duration_seconds', ({ engine, op }) => `${engine} ${op}`),
    ...phasesOf(grown, 'rest_client_request_duration_seconds', ({ verb }) => `API ${verb}`),
    ...phasesOf(grown, 'controller_runtime_reconcile_time_seconds', ({ controller }) => `reconcile ${controller}`),
  ])
}

/**
 * Reads the API server's own metrics: requests that could change something, refused ones too. Left out are leases, which
 * are renewed by the clock, and the creation of Tenants, which is the benchmark's.
 */
export function apiWrites(grown: Counters): number {
  const writes = seriesOf(grown, 'apiserver_request_total').filter(({ labels: { verb = '', resource = '' } }) => {
    return WRITING.has(verb) && resource !== 'leases' && !(verb === 'POST' && resource === 'tenants')
  })
  return writes.reduce((sum, { value }) => sum + value, 0)
}

function phasesOf(
  grown: Counters,
  metric: string,
  nameOf: (labels: Readonly<Record<string, string>>) => string,
): readonly [string, Phase][] {
  const seconds = Map.groupBy(seriesOf(grown, `${metric}_sum`), ({ labels }) => nameOf(labels))
  const counts = Map.groupBy(seriesOf(grown, `${metric}_count`), ({ labels }) => nameOf(labels))
  return [...counts].flatMap(([name, series]): [string, Phase][] => {
    const count = series.reduce((sum, { value }) => sum + value, 0)
    const spent = (seconds.get(name) ?? []).reduce((sum, { value }) => sum + value, 0)
    return count > 0 ? [[name, { count, ms: (spent * 1000) / count }]] : []
  })
}

/** What grew since `before`, once the operator has also ended and counted what the last of so many tenants took. */
export async function grownSince(before: Counters, tenants: number, read: () => Promise<Counters>): Promise<Counters> {
  for (;;) {
    const grown = growth(before, await read())
    const done = grown.get('controller_runtime_reconcile_time_seconds_count{controller="tenant"}') ?? 0
    if (done >= tenants) return grown
    await new Promise((wake) => setTimeout(wake, POLL_MS))
  }
}
