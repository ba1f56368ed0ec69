import { parseQuantity } from '@tenantry/crds/common.ts'
import type { Database, ShardSpec, ShardStatus } from '@tenantry/crds/database.ts'
import { AppError, asAppError } from '@tenantry/crds/errors.ts'
import type { Tenant, TenantDatabase } from '@tenantry/crds/tenant.ts'
import type { Address } from '@tenantry/engines/model.ts'
import { databaseName, objectName, tenantId } from '@tenantry/engines/names.ts'
import type { Shard } from '../../shards/shard.ts'
import type { World } from '../../world.ts'
import { defectOf } from '../decode.ts'
import { type Candidate, type Load, place } from '../placement.ts'
import { formatPlace, type Place, placesOf } from '../placements.ts'
import { checkAllowed } from './allowed.ts'

/** One entry of a Tenant's `spec.databases`, resolved. `entry` is undefined when it was removed or the Tenant is going. */
export interface Binding {
  readonly name: string
  readonly entry: TenantDatabase | undefined
  readonly database: Database
  readonly place: Place
  readonly shard: Shard
  /** Base name of what the tenant has on the shard. */
  readonly objectName: string
  /** Base name of what the Database itself has there. */
  readonly shared: string
  readonly tenantId: string
  readonly address: Address
}

/** A resolved entry, or why it could not be resolved. One entry's trouble never stops the others. */
export type Resolved =
  | { readonly name: string; readonly entry: TenantDatabase | undefined; readonly binding: Binding }
  | {
      readonly name: string
      readonly entry: TenantDatabase | undefined
      readonly place?: Place
      readonly problem: AppError
    }

/** Resolves every wanted entry and every entry that is only left in the stored placement. */
export async function resolveBindings(world: World, tenant: Tenant): Promise<readonly Resolved[]> {
  const places = placesOf(tenant)
  const going = tenant.metadata.deletionTimestamp !== undefined
  const entries = new Map<string, TenantDatabase | undefined>()
  if (!going) for (const entry of tenant.spec.databases) entries.set(entry.name, entry)
  for (const name of places.keys()) if (!entries.has(name)) entries.set(name, undefined)
  return await Promise.all(
    [...entries].map(([name, entry]) => resolve(world, tenant, name, { entry, stored: places.get(name) })),
  )
}

async function resolve(
  world: World,
  tenant: Tenant,
  name: string,
  { entry, stored }: { entry: TenantDatabase | undefined; stored: Place | undefined },
): Promise<Resolved> {
  try {
    const database = findDatabase(world, tenant, entry, stored)
    if (entry) checkEntry(tenant, entry, stored)
    if (entry) checkAllowed(tenant, database, world.namespaces.store.get(tenant.metadata.namespace))
    const chosen = stored ?? choose(world, tenant, database, entry)
    const shard = await world.shards.acquire(database, chosen.shard, { lastKnown: entry === undefined })
    return { name, entry, binding: bind(tenant, { name, entry, database, place: chosen, shard }) }
  } catch (error) {
    const problem = asAppError(
      error,
      `resolve database ${name} of Tenant ${tenant.metadata.namespace}/${tenant.metadata.name}`,
    )
    return { name, entry, problem, ...(stored && { place: stored }) }
  }
}

/**
 * The binding that a Tenant has on a shard at hand; undefined when it has none there that its spec wants. Throws what keeps
 * the entry from being resolved.
 */
export function bindingOn(world: World, tenant: Tenant, database: Database, shard: Shard): Binding | undefined {
  const [name, place] = [...placesOf(tenant)].find(([, one]) => formatPlace(one) === shard.id) ?? []
  const entry = tenant.spec.databases.find((one) => one.name === name)
  if (!name || !place || !entry) return undefined
  checkEntry(tenant, entry, place)
  checkAllowed(tenant, database, world.namespaces.store.get(tenant.metadata.namespace))
  return bind(tenant, { name, entry, database, place, shard })
}

/** What the schema cannot say: one place per Database however it is written, and a pin that agrees with the place. */
function checkEntry(tenant: Tenant, entry: TenantDatabase, stored: Place | undefined): void {
  const same = tenant.spec.databases.filter((other) => isSameRef(tenant, other, entry)).map(({ name }) => name)
  if (same.length > 1) {
    throw new AppError('InvalidSpec', `databases ${same.join(' and ')} refer to the same Database: keep one of them`)
  }
  if (entry.shard === undefined || stored === undefined || entry.shard === stored.shard) return
  throw new AppError(
    'InvalidSpec',
    `it lives on shard ${stored.shard} and cannot be moved to ${entry.shard}: set shard to ${stored.shard} or leave it out`,
  )
}

function isSameRef({ metadata: { namespace } }: Tenant, a: TenantDatabase, b: TenantDatabase): boolean {
  const [left, right] = [a.databaseRef, b.databaseRef]
  return left.name === right.name && (left.namespace ?? namespace) === (right.namespace ?? namespace)
}

function bind(tenant: Tenant, parts: Pick<Binding, 'name' | 'entry' | 'database' | 'place' | 'shard'>): Binding {
  const { database, shard } = parts
  const names = { name: objectName(tenant.metadata, database.metadata), shared: databaseName(database.metadata) }
  return {
    ...parts,
    objectName: names.name,
    shared: names.shared,
    tenantId: tenantId(tenant.metadata),
    address: shard.engine.address({ isolation: database.spec.isolation, ...names }, shard.connection),
  }
}

function findDatabase(
  world: World,
  tenant: Tenant,
  entry: TenantDatabase | undefined,
  stored: Place | undefined,
): Database {
  const wanted = entry && {
    namespace: entry.databaseRef.namespace ?? tenant.metadata.namespace,
    name: entry.databaseRef.name,
  }
  const ref = stored?.database ?? wanted
  const database = ref && world.databases.store.get(`${ref.namespace}/${ref.name}`)
  if (database) return usable(database, entry)
  throw new AppError(
    'DatabaseNotFound',
    `there is no Database ${ref?.namespace}/${ref?.name}; create it, or correct databaseRef (kubectl get databases -A)`,
  )
}

/** Nothing rests on a Database whose spec cannot be read; what is leaving asks less of it. */
function usable(database: Database, entry: TenantDatabase | undefined): Database {
  const defect = defectOf(database)
  if (!defect || (!entry && defect.deletable)) return database
  const { namespace, name } = database.metadata
  throw new AppError('InvalidSpec', `Database ${namespace}/${name} cannot be used: ${defect.message}`)
}

function choose(world: World, tenant: Tenant, database: Database, entry: TenantDatabase | undefined): Place {
  const { namespace, name } = database.metadata
  const tenantKey = `${tenant.metadata.namespace}/${tenant.metadata.name}`
  const earlier = world.placements.chosen(tenantKey, { namespace, name })
  if (earlier) return earlier
  const candidates = candidatesOf(world, database, entry)
  const shard = entry?.shard
    ? pinned(database, candidates, entry.shard)
    : place(`${namespace}/${name}`, tenantKey, candidates)
  const chosen = placeOn(database, shard)
  world.placements.put(tenantKey, chosen)
  return chosen
}

function candidatesOf(world: World, database: Database, entry: TenantDatabase | undefined): readonly Candidate[] {
  const found = new Map((database.status?.shards ?? []).map((shard) => [shard.name, shard]))
  return database.spec.shards.map((spec) => ({
    name: spec.name,
    ...closed(spec, found.get(spec.name)),
    tenants: world.placements.countOn(placeOn(database, spec.name)),
    loads: loadsOf(world, database, spec, { entry, found: found.get(spec.name) }),
  }))
}

function closed({ cordoned }: ShardSpec, found: ShardStatus | undefined): Pick<Candidate, 'closed'> {
  const because = (text: string, waiting: boolean) => ({ closed: { because: text, waiting } })
  if (cordoned) return because('cordoned', false)
  if (found?.state === undefined) return because('not looked at yet', true)
  if (found.state === 'Active') return {}
  if (found.state === 'Idle') return because('beyond spec.replicas', false)
  return because(found.state.toLowerCase(), true)
}

/** Of tables and bytes nobody knows what a tenant will bring: it fits while there is any room. */
function loadsOf(
  world: World,
  database: Database,
  { name, capacity = {} }: ShardSpec,
  { entry, found }: { entry: TenantDatabase | undefined; found: ShardStatus | undefined },
): readonly Load[] {
  const at = placeOn(database, name)
  const storage = capacity.storage && parseQuantity(capacity.storage)
  return [
    { used: world.placements.countOn(at), request: 1, capacity: capacity.tenants },
    { used: found?.tables ?? 0, request: 1, capacity: capacity.tables },
    { used: found?.size ? parseQuantity(found.size) : 0, request: 1, capacity: storage || undefined },
    {
      used: capacity.connections ? promisedConnections(world, database, at) : 0,
      request: connectionsOf(database, entry),
      capacity: capacity.connections,
    },
  ]
}

/** What all tenants of a shard may open together. */
function promisedConnections(world: World, database: Database, at: Place): number {
  const { namespace, name } = database.metadata
  return world.placements.tenantsOn(at).reduce((sum, key) => {
    const tenant = world.tenants.store.get(key)
    const entry = tenant?.spec.databases.find(
      ({ databaseRef }) =>
        databaseRef.name === name && (databaseRef.namespace ?? tenant.metadata.namespace) === namespace,
    )
    return sum + connectionsOf(database, entry)
  }, 0)
}

function connectionsOf(database: Database, entry: TenantDatabase | undefined): number {
  const perLogin = entry?.limits?.connections ?? database.spec.tenantDefaults?.limits?.connections ?? 0
  return perLogin * (entry?.access.length ?? 1)
}

function placeOn(database: Database, shard: string): Place {
  const { namespace, name } = database.metadata
  return { database: { namespace, name }, shard }
}

/** A pin wins over headroom and replicas, never over a cordon. */
function pinned(database: Database, candidates: readonly Candidate[], shard: string): string {
  const spec = database.spec.shards.find((candidate) => candidate.name === shard)
  const of = `shard ${shard} of Database ${database.metadata.namespace}/${database.metadata.name}`
  if (!spec) {
    const known = candidates.map((candidate) => candidate.name).join(', ')
    throw new AppError('InvalidSpec', `place the tenant on ${of}: it has no such shard; name one of ${known}`)
  }
  if (spec.cordoned)
    throw new AppError('NoCapacity', `place the tenant on ${of}: it is cordoned; un-cordon it or name another`)
  return shard
}

/** The placement annotation's value for these entries: those that are resolved, and what was stored for the rest. */
export function placementOf(resolved: readonly Resolved[]): Readonly<Record<string, string>> {
  const places = resolved.map((one) => [one.name, 'binding' in one ? one.binding.place : one.place] as const)
  return Object.fromEntries(places.flatMap(([name, at]) => (at ? [[name, formatPlace(at)]] : [])))
}
