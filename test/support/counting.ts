/** What an operator did in a stretch of time, from its own counters. */
import type { TestOperator } from './operator.ts'

export interface Counts {
  readonly tenantReconciles: number
  readonly databaseReconciles: number
  /** Writes to the API server, without the Lease's. */
  readonly writes: number
  /** Batches sent to engines. */
  readonly applies: number
}

const LEASE = 'leases.coordination.k8s.io'

/** All that was done since the operator's process began. */
export async function countsOf(op: TestOperator): Promise<Counts> {
  const { requests } = op.operator().client
  const lease = requests.count({ resource: LEASE, verb: 'create' }) + requests.count({ resource: LEASE, verb: 'patch' })
  return {
    tenantReconciles: await sum(op, 'controller_runtime_reconcile_total', { controller: 'tenant' }),
    databaseReconciles: await sum(op, 'controller_runtime_reconcile_total', { controller: 'database' }),
    writes: requests.writes() - lease,
    applies: await sum(op, 'tenantry_engine_call_duration_seconds', { op: 'apply' }),
  }
}

export function difference(after: Counts, before: Counts): Counts {
  return {
    tenantReconciles: after.tenantReconciles - before.tenantReconciles,
    databaseReconciles: after.databaseReconciles - before.databaseReconciles,
    writes: after.writes - before.writes,
    applies: after.applies - before.applies,
  }
}

/** The sum of a counter, or the number of a histogram's observations, over all series with these labels. */
async function sum({ metrics }: TestOperator, name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const metric = await metrics.registry.getSingleMetric(name)?.get()
  const values: readonly { value: number; labels: Readonly<Record<string, unknown>>; metricName?: string }[] =
    metric?.values ?? []
  return values
    .filter(({ metricName }) => metricName === undefined || metricName === name || metricName.endsWith('_count'))
    .filter((one) => Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((total, { value }) => total + value, 0)
}
