import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { InformerMetrics } from '../kube/informer.ts'
import type { RequestRecord } from '../kube/requests.ts'
import type { QueueObserver } from '../queue/work-queue.ts'
import { CALL_SECONDS, RECONCILE_SECONDS, REQUEST_SECONDS } from './buckets.ts'
import { createConditionMetrics, type WithConditions } from './condition-metrics.ts'
import { createDriftMetrics, type DriftMetrics } from './drift-metrics.ts'
import { registerEventLoopMetrics } from './event-loop-metrics.ts'
import { createInformerMetrics } from './informer-metrics.ts'
import { createQueueMetrics } from './queue-metrics.ts'
import { type RolloutMetrics, registerRolloutMetrics } from './rollout-metrics.ts'
import { createShardMetrics, type ShardMetrics } from './shard-metrics.ts'

/** How a reconcile ended. `terminal`: an error that is not retried before the spec changes. */
export type ReconcileResult = 'success' | 'requeue' | 'requeue_after' | 'error' | 'terminal'

/** Everything the operator counts, under controller-runtime's names where it has one. No label holds a tenant's name. */
export interface Metrics extends ShardMetrics, DriftMetrics, RolloutMetrics {
  readonly registry: Registry
  /** For one controller's queue, which is named after it: `tenant`. */
  queueObserver(name: string): QueueObserver
  readonly informers: InformerMetrics
  /** A request to the API server was answered, or not. */
  requested(record: RequestRecord): void
  reconciled(controller: string, result: ReconcileResult, seconds: number): void
  /** A call to an engine has ended. */
  called(call: { readonly engine: string; readonly op: string; readonly ok: boolean; readonly seconds: number }): void
  /** A change was applied. */
  changed(engine: string, op: string, risk: string): void
  /** Something of a settled object was found different from what it should be. */
  drifted(engine: string): void
  /** A settled object's part on a shard was compared with a snapshot of the whole shard. */
  compared(engine: string, same: boolean): void
  /** An object came, changed or went (undefined): its conditions are counted while it is there. */
  countConditions(kind: string, name: string, object: WithConditions | undefined): void
  /** Whether this process holds the lease of this name. */
  leading(lease: string, leads: boolean): void
}

/** Makes the metrics of one process, in a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  registerEventLoopMetrics(registry)
  return {
    registry,
    queueObserver: createQueueMetrics(registry),
    informers: createInformerMetrics(registry),
    requested: createRequestMetrics(registry),
    reconciled: createReconcileMetrics(registry),
    ...createEngineMetrics(registry),
    ...createShardMetrics(registry),
    ...createDriftMetrics(registry),
    tellRollouts: registerRolloutMetrics(registry),
    countConditions: createConditionMetrics(registry),
    leading: createLeaderMetrics(registry),
  }
}

function createRequestMetrics(registry: Registry): Metrics['requested'] {
  const registers = [registry]
  const total = new Counter({
    name: 'rest_client_requests_total',
    help: 'Number of HTTP requests to the API server, by status code, method and host',
    labelNames: ['code', 'method', 'host'],
    registers,
  })
  const seconds = new Histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'Time to the answer of a request to the API server; for a watch to its first byte',
    labelNames: ['verb', 'host'],
    buckets: REQUEST_SECONDS,
    registers,
  })
  return ({ code, method, host, verb, durationMs }) => {
    total.inc({ code, method, host })
    seconds.observe({ verb, host }, durationMs / 1000)
  }
}

function createReconcileMetrics(registry: Registry): Metrics['reconciled'] {
  const registers = [registry]
  const total = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciles per controller, by result',
    labelNames: ['controller', 'result'],
    registers,
  })
  const errors = new Counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciles per controller that failed',
    labelNames: ['controller'],
    registers,
  })
  const terminal = new Counter({
    name: 'controller_runtime_terminal_reconcile_errors_total',
    help: 'Reconciles per controller that failed and are not retried before the spec changes',
    labelNames: ['controller'],
    registers,
  })
  const seconds = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Duration of a reconcile per controller',
    labelNames: ['controller'],
    buckets: RECONCILE_SECONDS,
    registers,
  })
  return (kind, result, took) => {
    const controller = kind.toLowerCase()
    const failed = result === 'error' || result === 'terminal'
    total.inc({ controller, result: failed ? 'error' : result })
    if (failed) errors.inc({ controller })
    if (result === 'terminal') terminal.inc({ controller })
    seconds.observe({ controller }, took)
  }
}

function createEngineMetrics(registry: Registry): Pick<Metrics, 'called' | 'changed' | 'drifted' | 'compared'> {
  const registers = [registry]
  const calls = new Histogram({
    name: 'tenantry_engine_call_duration_seconds',
    help: 'Duration of a call to an engine, by outcome',
    labelNames: ['engine', 'op', 'outcome'],
    buckets: CALL_SECONDS,
    registers,
  })
  const changes = new Counter({
    name: 'tenantry_changes_total',
    help: 'Changes applied to engines',
    labelNames: ['engine', 'op', 'risk'],
    registers,
  })
  const drift = new Counter({
    name: 'tenantry_drift_detected_total',
    help: 'Times that something settled was found different from what it should be',
    labelNames: ['engine'],
    registers,
  })
  const comparisons = new Counter({
    name: 'tenantry_comparisons_total',
    help: 'Parts of settled objects that a resync compared with a snapshot of their shard, by whether they were as recorded (same) or are looked at closely (differs)',
    labelNames: ['engine', 'outcome'],
    registers,
  })
  return {
    compared: (engine, same) => comparisons.inc({ engine, outcome: same ? 'same' : 'differs' }),
    called: ({ engine, op, ok, seconds }) => calls.observe({ engine, op, outcome: ok ? 'success' : 'error' }, seconds),
    changed: (engine, op, risk) => changes.inc({ engine, op, risk }),
    drifted: (engine) => drift.inc({ engine }),
  }
}

function createLeaderMetrics(registry: Registry): Metrics['leading'] {
  const master = new Gauge({
    name: 'leader_election_master_status',
    help: 'Whether this process leads (1) or not (0), by the name of the lease',
    labelNames: ['name'],
    registers: [registry],
  })
  return (lease, leads) => master.set({ name: lease }, leads ? 1 : 0)
}
