import { AppError } from '@tenantry/crds/errors.ts'
import { describe, expect, test } from 'vitest'
import type { Informer } from '../kube/informer.ts'
import { type KubeObject, SECRETS } from '../kube/types.ts'
import { FakeClock, settle } from '../queue/fake-clock.ts'
import { WorkQueue } from '../queue/work-queue.ts'
import { createMetrics, type Metrics } from './metrics.ts'

/** The samples of a metric, as `labels value`. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.registry.metrics()
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => line.slice(name.length))
}

describe('the metrics', () => {
  test('carry controller-runtime’s names for a queue and its runs', async () => {
    const metrics = createMetrics()
    const clock = new FakeClock()
    const queue = new WorkQueue({ clock, random: () => 0, observer: metrics.queueObserver('tenant') })
    const ends: (() => void)[] = []
    queue.add('a')
    queue.add('b', { priority: -100 })
    queue.add('c', { priority: -100 })
    queue.add('d', { afterMs: 1_000_000 })
    queue
      .run(() => new Promise((resolve) => ends.push(resolve)), { concurrency: 1, deadlineMs: 5_000 })
      .catch(() => undefined)
    await settle()
    await clock.advance(7_000)
    const both = '{name="tenant",controller="tenant"'
    expect(await samples(metrics, 'workqueue_depth')).toEqual([`${both},priority="-100"} 2`])
    expect(await samples(metrics, 'workqueue_delayed')).toEqual([`${both}} 1`])
    expect(await samples(metrics, 'workqueue_adds_total')).toEqual([`${both}} 4`])
    expect(await samples(metrics, 'workqueue_unfinished_work_seconds')).toEqual([`${both}} 7`])
    expect(await samples(metrics, 'workqueue_longest_running_processor_seconds')).toEqual([`${both}} 7`])
    expect(await samples(metrics, 'controller_runtime_active_workers')).toEqual(['{controller="tenant"} 1'])
    expect(await samples(metrics, 'controller_runtime_max_concurrent_reconciles')).toEqual(['{controller="tenant"} 1'])
    expect(await samples(metrics, 'controller_runtime_reconcile_timeouts_total')).toEqual(['{controller="tenant"} 1'])
    ends.shift()?.()
    await settle()
    expect(await samples(metrics, 'workqueue_work_duration_seconds_sum')).toEqual([`${both}} 7`])
    expect(await samples(metrics, 'workqueue_queue_duration_seconds_count')).toEqual([`${both}} 2`])
  })

  test('tell a defect from an error that was foreseen', async () => {
    const metrics = createMetrics()
    const observer = metrics.queueObserver('tenant')
    observer.failed?.('a', new AppError('Timeout', 'late'))
    observer.failed?.('a', new AppError('Internal', 'defect'))
    observer.failed?.('a', new TypeError('undefined is not a function'))
    expect(await samples(metrics, 'controller_runtime_reconcile_panics_total')).toEqual(['{controller="tenant"} 2'])
  })

  test('count reconciles by result, and errors once more', async () => {
    const metrics = createMetrics()
    for (const result of ['success', 'requeue', 'requeue_after', 'error', 'terminal'] as const) {
      metrics.reconciled('Tenant', result, 0.2)
    }
    expect(await samples(metrics, 'controller_runtime_reconcile_total')).toEqual([
      '{controller="tenant",result="success"} 1',
      '{controller="tenant",result="requeue"} 1',
      '{controller="tenant",result="requeue_after"} 1',
      '{controller="tenant",result="error"} 2',
    ])
    expect(await samples(metrics, 'controller_runtime_reconcile_errors_total')).toEqual(['{controller="tenant"} 2'])
    expect(await samples(metrics, 'controller_runtime_terminal_reconcile_errors_total')).toEqual([
      '{controller="tenant"} 1',
    ])
    expect(await samples(metrics, 'controller_runtime_reconcile_time_seconds_count')).toEqual([
      '{controller="tenant"} 5',
    ])
  })

  test('count requests to the API server under client-go’s names', async () => {
    const metrics = createMetrics()
    metrics.requested({
      verb: 'apply',
      resource: 'secrets',
      method: 'PATCH',
      code: '200',
      host: 'api:443',
      durationMs: 30,
    })
    expect(await samples(metrics, 'rest_client_requests_total')).toEqual([
      '{code="200",method="PATCH",host="api:443"} 1',
    ])
    expect(await samples(metrics, 'rest_client_request_duration_seconds_sum')).toEqual([
      '{verb="apply",host="api:443"} 0.03',
    ])
  })

  test('tell what happens to engines', async () => {
    const metrics = createMetrics()
    metrics.changed('PostgreSQL', 'create', 'safe')
    metrics.drifted('Redis')
    metrics.called({ engine: 'ClickHouse', op: 'observe', ok: false, seconds: 2 })
    expect(await samples(metrics, 'tenantry_changes_total')).toEqual([
      '{engine="PostgreSQL",op="create",risk="safe"} 1',
    ])
    expect(await samples(metrics, 'tenantry_drift_detected_total')).toEqual(['{engine="Redis"} 1'])
    expect(await samples(metrics, 'tenantry_engine_call_duration_seconds_sum')).toEqual([
      '{engine="ClickHouse",op="observe",outcome="error"} 2',
    ])
  })

  test('count conditions of what is there, as they are now', async () => {
    const metrics = createMetrics()
    const ready = (status: string) => ({ status: { conditions: [{ type: 'Ready', status }] } })
    metrics.countConditions('Tenant', 'a', ready('True'))
    metrics.countConditions('Tenant', 'b', ready('True'))
    metrics.countConditions('Tenant', 'c', {})
    expect(await samples(metrics, 'tenantry_conditions')).toEqual(['{kind="Tenant",type="Ready",status="True"} 2'])
    metrics.countConditions('Tenant', 'a', ready('False'))
    metrics.countConditions('Tenant', 'a', ready('False'))
    expect(await samples(metrics, 'tenantry_conditions')).toEqual([
      '{kind="Tenant",type="Ready",status="True"} 1',
      '{kind="Tenant",type="Ready",status="False"} 1',
    ])
    metrics.countConditions('Tenant', 'a', undefined)
    expect(await samples(metrics, 'tenantry_conditions')).toEqual(['{kind="Tenant",type="Ready",status="True"} 1'])
  })

  test('tell the age of the oldest snapshot of each engine', async () => {
    const metrics = createMetrics()
    expect(await samples(metrics, 'tenantry_snapshot_age_seconds')).toEqual([])
    metrics.tellSnapshotAges(() => [
      { engine: 'Redis', seconds: 3 },
      { engine: 'Redis', seconds: 9 },
    ])
    expect(await samples(metrics, 'tenantry_snapshot_age_seconds')).toEqual(['{engine="Redis"} 9'])
  })

  test('sum informers of one resource, and forget those that have stopped', async () => {
    const metrics = createMetrics()
    const informer = (size: number, lastContactMs: number) =>
      ({ type: SECRETS, store: { size }, lastContactMs }) as unknown as Informer<KubeObject>
    const second = informer(3, 9_000)
    metrics.informers.started(informer(2, 1_000))
    metrics.informers.started(second)
    metrics.informers.relisted('secrets', 'expired')
    metrics.informers.watchEnded('secrets', 'stale')
    expect(await samples(metrics, 'tenantry_informer_objects')).toEqual(['{resource="secrets"} 5'])
    expect(await samples(metrics, 'tenantry_informer_silence_seconds')).toEqual(['{resource="secrets"} 9'])
    expect(await samples(metrics, 'tenantry_informer_relists_total')).toEqual([
      '{resource="secrets",reason="expired"} 1',
    ])
    expect(await samples(metrics, 'tenantry_informer_watches_ended_total')).toEqual([
      '{resource="secrets",end="stale"} 1',
    ])
    metrics.informers.stopped(second)
    expect(await samples(metrics, 'tenantry_informer_objects')).toEqual(['{resource="secrets"} 2'])
  })

  test('count only so many condition types, for a status may hold what anybody invents', async () => {
    const metrics = createMetrics()
    for (let i = 0; i < 1_000; i++) {
      metrics.countConditions('Tenant', `t${i}`, { status: { conditions: [{ type: `Made${i}`, status: 'True' }] } })
    }
    const conditions = await samples(metrics, 'tenantry_conditions')
    expect(conditions).toHaveLength(201)
    expect(conditions).toContain('{kind="Tenant",type="other",status="other"} 800')
  })

  test('sum the pools of each engine, and count the writes that were fenced off', async () => {
    const metrics = createMetrics()
    metrics.tellPools(() => [
      { engine: 'PostgreSQL', running: 3, waiting: 1, limit: 4 },
      { engine: 'PostgreSQL', running: 1, waiting: 0, limit: 4 },
    ])
    metrics.fencingRejected('PostgreSQL')
    expect(await samples(metrics, 'tenantry_pool_calls')).toEqual([
      '{engine="PostgreSQL",state="in_use"} 4',
      '{engine="PostgreSQL",state="waiting"} 1',
    ])
    expect(await samples(metrics, 'tenantry_pool_limit')).toEqual(['{engine="PostgreSQL"} 8'])
    expect(await samples(metrics, 'tenantry_fencing_rejections_total')).toEqual(['{engine="PostgreSQL"} 1'])
  })

  test('tell who leads', async () => {
    const metrics = createMetrics()
    metrics.leading('tenantry', false)
    expect(await samples(metrics, 'leader_election_master_status')).toEqual(['{name="tenantry"} 0'])
    metrics.leading('tenantry', true)
    expect(await samples(metrics, 'leader_election_master_status')).toEqual(['{name="tenantry"} 1'])
  })

  test('tell how late the event loop was, to everyone who asks', async () => {
    const metrics = createMetrics()
    await new Promise((resolve) => setTimeout(resolve, 100))
    const until = performance.now() + 200
    while (performance.now() < until) Math.sqrt(until)
    await new Promise((resolve) => setTimeout(resolve, 50))
    for (let reader = 0; reader < 2; reader++) {
      const [median, , most] = await samples(metrics, 'tenantry_event_loop_delay_seconds')
      expect(median).toContain('{quantile="0.5"}')
      expect(Number(most?.split(' ')[1])).toBeGreaterThan(0.15)
    }
    const [busy] = await samples(metrics, 'tenantry_event_loop_utilization_ratio')
    expect(Number(busy)).toBeGreaterThan(0)
    expect(Number(busy)).toBeLessThanOrEqual(1)
  })

  test('of the process are there too', async () => {
    const text = await createMetrics().registry.metrics()
    for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds'])
      expect(text).toContain(name)
  })
})
