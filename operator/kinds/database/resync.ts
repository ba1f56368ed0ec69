import { parseDuration } from '@tenantry/crds/common.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { Slices } from '@tenantry/engines/slices.ts'
import type { WorkQueue } from '../../queue/work-queue.ts'
import type { World } from '../../world.ts'
import { isAsRecorded, type ShardView } from '../tenant/compare.ts'
import type { ShardReport } from './shards.ts'

/** Part of the interval after which a resync is due: less than the jitter, so that every timed look resyncs. */
const DUE_AFTER = 0.85
/** So many snapshots of whole shards are held at a time: they are large. */
const SNAPSHOTS_AT_A_TIME = 3
/** Of one Database; its servers have tenants to serve, and one that hangs must leave places to others. */
const OF_ONE_DATABASE = 2
/** The driver's own time limits and the shard's are shorter. */
const DEADLINE_MS = 120_000

/**
 * Once an interval, and when the Database changed: has every shard read whole and all its tenants compared with that snapshot in
 * memory, and those queued that are not as their status says. This is how drift of ten thousand tenants is found by a handful of
 * queries. It goes on by itself: the Database's own status does not wait for it.
 */
export function requestResync(world: World, key: string, shards: readonly ShardReport[]): void {
  // As it is now: its status was just written, and it may be gone.
  const database = world.databases.store.get(key)
  if (!database) return
  const now = world.clock.monotonic()
  const last = world.lastResync.get(key)
  const intervalMs = parseDuration(database.spec.interval)
  if (last !== undefined && now - last < intervalMs * DUE_AFTER) return
  world.lastResync.set(key, now)
  for (const { spec, shard } of shards) {
    if (shard) world.resync(`${key}/${spec.name}`)
    else enqueueAll(world, tenantsOn(world, database, spec.name))
  }
}

/** Works through the shards that are to be read as a whole, until the queue is shut down. */
export async function runResyncs(world: World, queue: WorkQueue): Promise<void> {
  await queue.run((key) => resyncShard(world, key), {
    concurrency: SNAPSHOTS_AT_A_TIME,
    lanes: (key) => [split(key).database],
    laneConcurrency: OF_ONE_DATABASE,
    deadlineMs: DEADLINE_MS,
  })
}

/** `key`: `namespace/database/shard`. Nothing is retried: whoever could not be compared is looked at by itself. */
async function resyncShard(world: World, key: string): Promise<void> {
  const { shard: name, ...of } = split(key)
  const database = world.databases.store.get(of.database)
  const tenants = database ? tenantsOn(world, database, name) : []
  if (!database || tenants.length === 0) return
  try {
    const shard = await world.shards.acquire(database, name)
    const files = await world.files.read(database)
    await shard.resync((known) => world.comparing.run(() => compare(world, { database, shard, files, known }, tenants)))
  } catch (error) {
    const message = 'could not compare the tenants of the shard with what is on it; they are looked at one by one'
    world.log.warn({ err: error, shard: key }, message)
    enqueueAll(world, tenants)
  }
}

function split(key: string): { readonly database: string; readonly shard: string } {
  const end = key.lastIndexOf('/')
  return { database: key.slice(0, end), shard: key.slice(end + 1) }
}

function tenantsOn(world: World, { metadata }: Database, shard: string): readonly string[] {
  return world.placements.tenantsOn({ database: metadata, shard })
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
