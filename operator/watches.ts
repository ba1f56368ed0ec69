import { ANNOTATIONS } from '@tenantry/crds/annotations.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { Slices } from '@tenantry/engines/slices.ts'
import { isFinished } from './kinds/database/rollout/reach.ts'
import { newlyReached } from './kinds/database/rollout/reached.ts'
import { placesOf } from './kinds/placements.ts'
import { isQuiet } from './kinds/tenant/compare.ts'
import type { StoredSecret } from './kinds/tenant/stored-secret.ts'
import type { StoreChange } from './kube/store.ts'
import type { KubeObject } from './kube/types.ts'
import type { Cause, World } from './world.ts'

/** Index functions of the Tenants' store: by the Databases they refer to or still live in, and by namespace. */
export const TENANT_INDEXES = {
  database: (tenant: Tenant): readonly string[] => [...databasesOf(tenant)],
  namespace: (tenant: Tenant): readonly string[] => [tenant.metadata.namespace],
}

/** Turns what happens in the cluster into keys in the queues. Own writes queue nothing: what they say is known. */
export function connectWatches(world: World): void {
  world.tenants.store.onChange((change) => onTenant(world, change))
  world.databases.store.onChange((change) => onDatabase(world, change))
  world.secrets.store.onChange((change) => onSecret(world, change))
  world.namespaces.store.onChange((change) => onNamespace(world, change))
}

/**
 * What there is to do when a term begins, from all that is known by then: every Database, and every Tenant but those that are as
 * they should be for all their status says. These are compared when their Databases read their shards for the first time.
 */
export async function takeFirstLook(world: World): Promise<void> {
  const slices = new Slices()
  for (const database of world.databases.store.list()) {
    world.enqueue('Database', keyOf(database), causeOf(database, 'resync'))
  }
  for (const tenant of world.tenants.store.list()) {
    if (!isQuiet(tenant) || !hasShards(world, tenant)) world.enqueue('Tenant', keyOf(tenant), causeOf(tenant, 'resync'))
    if (slices.isOver) await slices.next()
  }
}

/** Only tenants on shards that their Databases still have are compared by these. */
function hasShards(world: World, tenant: Tenant): boolean {
  return [...placesOf(tenant).values()].every(({ database: { namespace, name }, shard }) =>
    world.databases.store.get(`${namespace}/${name}`)?.spec.shards.some((spec) => spec.name === shard),
  )
}

/** A connection Secret or ConfigMap that these Databases name has changed: its content may concern all their tenants. */
export function onReference(world: World, databases: readonly string[], content: boolean): void {
  for (const key of databases) {
    world.enqueue('Database', key, 'change')
    if (content) compareTenants(world, key)
  }
}

/** Has the Database compare all its tenants when it is reconciled next; those that it has on none of its shards look for themselves. */
function compareTenants(world: World, key: string): void {
  world.lastResync.delete(key)
  const shards = new Set(world.databases.store.get(key)?.spec.shards.map(({ name }) => name))
  enqueueTenants(world, key, 'change', (shard) => shard === undefined || !shards.has(shard))
}

function onTenant(world: World, { type, object, previous, source }: StoreChange<Tenant>): void {
  const key = keyOf(object)
  if (type === 'deleted') {
    world.placements.forget(key)
    world.brakes.forgetUnit(key)
    for (const database of databasesOf(object)) enqueueIfGoing(world, database)
    tellRollouts(world, object, previous)
    return
  }
  for (const place of placesOf(object).values()) world.placements.put(key, place)
  tellRollouts(world, object, previous)
  if (source === 'write') return
  if (type === 'added' || isNew(object, previous)) world.enqueue('Tenant', key, causeOf(object, 'change'))
}

/** A rollout under way goes on when a tenant has come further, or goes, or is woken. */
function tellRollouts(world: World, tenant: Tenant, previous: Tenant | undefined): void {
  for (const database of databasesOf(tenant)) {
    const rollout = world.databases.store.get(database)?.status?.rollout
    if (!rollout || isFinished(rollout)) continue
    if (standsOtherwise(tenant, previous)) world.progress(database)
    if (previous && !sameMap(tenant.metadata.labels, previous.metadata.labels)) {
      // It may be a canary now.
      world.enqueue('Tenant', keyOf(tenant), 'change')
      world.progress(database)
    }
  }
}

function standsOtherwise(tenant: Tenant, previous: Tenant | undefined): boolean {
  if (!previous || previous === tenant || isNew(tenant, previous)) return true
  const view = ({ status }: Tenant): string =>
    JSON.stringify(status?.databases?.map((one) => [one.name, one.schemaState, one.schemaDigest, one.schemaVersion]))
  return view(tenant) !== view(previous)
}

function onDatabase(world: World, { type, object, previous, source }: StoreChange<Database>): void {
  const key = keyOf(object)
  if (type === 'deleted' || type === 'added' || isNew(object, previous)) {
    if (source !== 'write') world.enqueue('Database', key, causeOf(object, 'change'))
    if (type === 'deleted') enqueueTenants(world, key, 'change')
    else compareTenants(world, key)
    return
  }
  for (const tenant of newlyReached(world, object, previous)) world.enqueue('Tenant', tenant, 'change')
  const changed = changedShards(object, previous)
  if (changed.size > 0) enqueueTenants(world, key, 'change', (shard) => shard === undefined || changed.has(shard))
}

/**
 * Credentials are part of what a Tenant has: a Secret that was deleted or changed by hand is put right. Those of Tenants that
 * another installation looks after are seen as well, and are none of our business.
 */
function onSecret(world: World, { type, object, source }: StoreChange<StoredSecret>): void {
  if (type === 'added' || source === 'write') return
  const owner = object.metadata.ownerReferences?.find(({ kind }) => kind === 'Tenant')
  const key = `${object.metadata.namespace}/${owner?.name}`
  if (owner && world.tenants.store.get(key)) world.enqueue('Tenant', key, 'change')
}

function onNamespace(world: World, { type, object, previous }: StoreChange<KubeObject>): void {
  if (type === 'updated' && sameMap(object.metadata.labels, previous?.metadata.labels)) return
  for (const tenant of world.tenants.store.byIndex('namespace', object.metadata.name)) {
    world.enqueue('Tenant', keyOf(tenant), 'resync')
  }
}

/** `concerns` is told the tenant's shard in this Database; undefined when it has no place yet. */
function enqueueTenants(
  world: World,
  database: string,
  cause: Cause,
  concerns: (shard: string | undefined) => boolean = () => true,
): void {
  const [namespace = '', name = ''] = database.split('/')
  for (const tenant of world.tenants.store.byIndex('database', database)) {
    const key = keyOf(tenant)
    if (concerns(world.placements.chosen(key, { namespace, name })?.shard)) world.enqueue('Tenant', key, cause)
  }
}

function enqueueIfGoing(world: World, database: string): void {
  if (world.databases.store.get(database)?.metadata.deletionTimestamp) world.enqueue('Database', database, 'delete')
}

function causeOf({ metadata }: KubeObject, otherwise: Cause): Cause {
  return metadata.deletionTimestamp ? 'delete' : otherwise
}

/** Anything that a person may have changed; not the status. */
function isNew({ metadata }: KubeObject, previous: KubeObject | undefined): boolean {
  const before = previous?.metadata
  return (
    metadata.generation !== before?.generation ||
    metadata.deletionTimestamp !== before?.deletionTimestamp ||
    !sameMap(metadata.annotations, before?.annotations)
  )
}

/** What tenants wait for or must follow: a shard that became usable or not, and shared tables at another version. */
function changedShards({ status }: Database, previous: Database | undefined): ReadonlySet<string> {
  const view = (shards: NonNullable<Database['status']>['shards'] = []): Map<string, string> =>
    new Map(shards.map(({ name, state, schemaVersion }) => [name, `${state} ${schemaVersion}`]))
  const [now, before] = [view(status?.shards), view(previous?.status?.shards)]
  const names = new Set([...now.keys(), ...before.keys()])
  return new Set([...names].filter((name) => now.get(name) !== before.get(name)))
}

function databasesOf(tenant: Tenant): ReadonlySet<string> {
  const wanted = tenant.spec.databases.map(
    ({ databaseRef }) => `${databaseRef.namespace ?? tenant.metadata.namespace}/${databaseRef.name}`,
  )
  const stored = [...placesOf(tenant).values()].map(({ database }) => `${database.namespace}/${database.name}`)
  return new Set([...wanted, ...stored])
}

function sameMap(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  names.delete(ANNOTATIONS.placement)
  return [...names].every((name) => a[name] === b[name])
}

function keyOf({ metadata: { namespace, name } }: { metadata: { namespace: string; name: string } }): string {
  return `${namespace}/${name}`
}
