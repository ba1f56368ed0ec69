import { describe, expect, test } from 'vitest'
import { FakeClock, settle } from '../queue/fake-clock.ts'
import { WorkQueue } from '../queue/work-queue.ts'
import { report } from '../reconcile/report.ts'
import type { World } from '../world.ts'
import { createMetrics, type Metrics } from './metrics.ts'

const ENGINES = ['PostgreSQL', 'Redis', 'ClickHouse']
const TYPES = ['Ready', 'Reconciling', 'Stalled', 'Isolated']
const TENANTS = 10_000

const tenant = (i: number) => ({
  apiVersion: 'tenantry.dev/v1alpha1',
  kind: 'Tenant',
  metadata: { namespace: `space-${i % 100}`, name: `synthetic-${i}`, uid: `uid-${i}`, generation: 1 },
  status: {
    observedGeneration: 1,
    conditions: TYPES.map((type) => ({ type, status: ['True', 'False', 'Unknown'][i % 3] ?? 'True' })),
  },
})

type Outcome = Parameters<typeof report>[3]

/** One applied change on each of three shards, out of fourteen. */
const outcome = (i: number): Outcome => {
  const targets = ENGINES.map((name) => {
    const op = (['create', 'alter', 'drop', 'adopt'] as const)[i % 4]
    const change = { op, risk: 'safe', summary: `${op} role synthetic-${i}` }
    const shard = { id: `platform/${name}/s${i % 14}`, engine: { name } }
    return { target: { shard }, changes: [change], applied: [change], held: [], remaining: [], found: undefined }
  })
  return { targets, planHash: undefined } as unknown as Outcome
}

/** What the operator tells of a tenant's life, over and over. */
function live(metrics: Metrics, i: number): void {
  const { namespace, name } = tenant(i).metadata
  const log = { info: () => undefined }
  report({ metrics, log, recorder: { event: () => undefined } } as unknown as World, 'Tenant', tenant(i), outcome(i))
  for (const result of ['success', 'requeue', 'requeue_after', 'error'] as const)
    metrics.reconciled('Tenant', result, 1)
  for (const engine of ENGINES) {
    for (const op of ['observe', 'observe-all', 'apply', 'health', 'probe']) {
      const call = { engine, op, ok: i % 2 === 0, seconds: 0.1, shard: `platform/${engine}/s${i % 14}` }
      metrics.called(call)
    }
    metrics.fencingRejected(engine)
  }
  for (const resource of ['tenants.tenantry.dev', 'tenants.tenantry.dev/status', 'secrets']) {
    for (const code of ['200', '201', '404', '409', '429', '500', 'error']) {
      metrics.requested({ verb: 'apply', resource, method: 'PATCH', code, host: 'api:443', durationMs: 1 })
    }
  }
  metrics.informers.relisted('secrets', 'expired')
  metrics.queueObserver('tenant').failed?.(`${namespace}/${name}`, new TypeError(name))
}

describe('ten thousand tenants', () => {
  test('have no more series than one thousand, and none that names an object', { timeout: 300_000 }, async () => {
    const few = await seriesOf(1_000)
    const many = await seriesOf(TENANTS)
    expect(many.length).toBe(few.length)
    expect(many.length).toBeLessThan(700)
    expect(many.filter((line) => /synthetic-|space-|platform\//.test(line))).toEqual([])
  })
})

async function seriesOf(tenants: number): Promise<readonly string[]> {
  const metrics = createMetrics()
  const queue = new WorkQueue({ clock: new FakeClock(), random: () => 0, observer: metrics.queueObserver('tenant') })
  const all = Array.from({ length: tenants }, (_, i) => i)
  for (const i of all) {
    live(metrics, i)
    queue.add(`space-${i % 100}/synthetic-${i}`, { priority: [10, 0, -100][i % 3] ?? 0 })
  }
  queue.run(() => new Promise(() => undefined), { concurrency: 64, deadlineMs: 60_000 }).catch(() => undefined)
  await settle()
  for (const i of all) metrics.countConditions('Tenant', `synthetic-${i}`, tenant(i))
  metrics.tellPools(() => all.map((i) => ({ engine: ENGINES[i % 3] ?? '', running: 1, waiting: 0, limit: 4 })))
  metrics.tellSnapshotAges(() => all.map((i) => ({ engine: ENGINES[i % 3] ?? '', seconds: i })))
  metrics.leading('tenantry', true)
  const text = await metrics.registry.metrics()
  // What the process itself has (sockets, handles) is not of tenants and comes and goes.
  return text.split('\n').filter((line) => line !== '' && !/^(#|process_|nodejs_)/.test(line))
}
