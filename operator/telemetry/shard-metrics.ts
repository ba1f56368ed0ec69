import { Counter, Gauge, type Registry } from 'prom-client'

/** How a shard's calls stand: those under way, those that wait for a place, and how many places there are. */
export interface PoolUse {
  readonly engine: string
  readonly running: number
  readonly waiting: number
  readonly limit: number
}

/** What is told of shards when it is asked for, and of writes that they refused. */
export interface ShardMetrics {
  /** From now on the age of the oldest snapshot of each engine is told at every scrape. */
  tellSnapshotAges(ages: () => Iterable<{ readonly engine: string; readonly seconds: number }>): void
  /** From now on the use of the shards' pools, summed for each engine, is told at every scrape. */
  tellPools(pools: () => Iterable<PoolUse>): void
  /** A server refused a write because a newer leader has written to it. */
  fencingRejected(engine: string): void
}

export function createShardMetrics(registry: Registry): ShardMetrics {
  const rejections = new Counter({
    name: 'tenantry_fencing_rejections_total',
    help: 'Writes that a server refused because a newer leader has written to it',
    labelNames: ['engine'],
    registers: [registry],
  })
  return {
    tellSnapshotAges: registerSnapshotAges(registry),
    tellPools: registerPools(registry),
    fencingRejected: (engine) => rejections.inc({ engine }),
  }
}

function registerSnapshotAges(registry: Registry): ShardMetrics['tellSnapshotAges'] {
  let read: Parameters<ShardMetrics['tellSnapshotAges']>[0] = () => []
  const ages: Gauge = new Gauge({
    name: 'tenantry_snapshot_age_seconds',
    help: 'Age of the oldest snapshot of an engine',
    labelNames: ['engine'],
    registers: [registry],
    collect: () => {
      const oldest = new Map<string, number>()
      for (const { engine, seconds } of read()) oldest.set(engine, Math.max(seconds, oldest.get(engine) ?? 0))
      ages.reset()
      for (const [engine, seconds] of oldest) ages.set({ engine }, seconds)
    },
  })
  return (given) => {
    read = given
  }
}

function registerPools(registry: Registry): ShardMetrics['tellPools'] {
  let read: Parameters<ShardMetrics['tellPools']>[0] = () => []
  const limit = new Gauge({
    name: 'tenantry_pool_limit',
    help: 'Connections that the pools of an engine may open together',
    labelNames: ['engine'],
    registers: [registry],
  })
  const calls: Gauge = new Gauge({
    name: 'tenantry_pool_calls',
    help: 'Calls to an engine that are under way (in_use) or wait for a place (waiting)',
    labelNames: ['engine', 'state'],
    registers: [registry],
    collect: () => {
      calls.reset()
      limit.reset()
      for (const pool of read()) {
        calls.inc({ engine: pool.engine, state: 'in_use' }, pool.running)
        calls.inc({ engine: pool.engine, state: 'waiting' }, pool.waiting)
        limit.inc({ engine: pool.engine }, pool.limit)
      }
    },
  })
  return (given) => {
    read = given
  }
}
