import { parseDuration } from '@tenantry/crds/common.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import { Slices } from '@tenantry/engines/slices.ts'
import type { World } from '../../world.ts'
import { isAsRecorded, type ShardView } from '../tenant/compare.ts'
import type { ShardReport } from './shards.ts'

/** Part of the interval after which a resync is due: less than the jitter, so that every timed look resyncs. */
const DUE_AFTER = 0.85
/** Snapshots of so many shards of one Database are held at a time: they are large. */
const AT_A_TIME = 2

/**
 * Once an interval, and when the Database changed: reads every shard whole, compares all its tenants with that snapshot in memory,
 * and queues those that are not as their status says. This is how drift of ten thousand tenants is found by a handful of queries.
 */
export async function resyncTenants(world: World, key: string, shards: readonly ShardReport[]): Promise<void> {
  // As it is now: its status was just written, and it may be gone.
  const database = world.databases.store.get(key)
  if (!database) return
  const now = world.clock.monotonic()
  const last = world.lastResync.get(key)
  const intervalMs = parseDuration(database.spec.interval)
  if (last !== undefined && now - last < intervalMs * DUE_AFTER) return
  world.lastResync.set(key, now)
  const files = await world.files.read(database).catch(() => undefined)
  const places = new Semaphore(AT_A_TIME)
  await Promise.all(
    shards.map(async ({ spec, shard }) => {
      const tenants = world.placements.tenantsOn({ database: database.metadata, shard: spec.name })
      if (tenants.length === 0) return
      if (shard && files) await places.run(() => resyncShard(world, { database, shard, files }, tenants))
      else enqueueAll(world, tenants)
    }),
  )
}

async function resyncShard(world: World, view: Omit<ShardView, 'known'>, tenants: readonly string[]): Promise<void> {
  try {
    await view.shard.resync((known) => world.comparing.run(() => compare(world, { ...view, known }, tenants)))
  } catch (error) {
    const message = 'could not read the shard as a whole; its tenants are looked at one by one'
    world.log.warn({ err: error, shard: view.shard.id }, message)
    enqueueAll(world, tenants)
  }
}

/** In slices: who waits for the event loop waits for one slice at most. */
async function compare(world: World, view: ShardView, tenants: readonly string[]): Promise<void> {
  const slices = new Slices()
  for (const key of tenants) {
    const tenant = world.tenants.store.get(key)
    const same = tenant !== undefined && isAsRecorded(world, tenant, view)
    world.metrics.compared(view.shard.engine.name, same)
    if (!same) world.enqueue('Tenant', key, 'resync')
    if (slices.isOver) await slices.next()
  }
}

function enqueueAll(world: World, tenants: readonly string[]): void {
  for (const tenant of tenants) world.enqueue('Tenant', tenant, 'resync')
}
