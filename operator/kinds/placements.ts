import { readPlacement } from '@tenantry/crds/annotations.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'

/** Where one binding of a Tenant lives. */
export interface Place {
  readonly database: { readonly namespace: string; readonly name: string }
  readonly shard: string
}

/** The stored form in the placement annotation: `namespace/database/shard`. */
export function formatPlace({ database, shard }: Place): string {
  return `${database.namespace}/${database.name}/${shard}`
}

/** Undefined for anything else than three non-empty parts. */
export function parsePlace(text: string): Place | undefined {
  const [namespace, name, shard, ...rest] = text.split('/')
  if (!namespace || !name || !shard || rest.length > 0) return undefined
  return { database: { namespace, name }, shard }
}

/**
 * Where a Tenant's bindings are, by their names: the annotation, and for what it lacks (somebody removed it) the status.
 * This is stored state; it is never computed again.
 */
export function placesOf(tenant: Tenant): ReadonlyMap<string, Place> {
  const known = READ.get(tenant)
  if (known) return known
  const places = readPlaces(tenant)
  READ.set(tenant, places)
  return places
}

/** What a store hands out is never changed, and is asked for its places often. */
const READ = new WeakMap<Tenant, ReadonlyMap<string, Place>>()

function readPlaces(tenant: Tenant): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>()
  for (const { name, databaseRef, shard } of tenant.status?.databases ?? []) {
    if (!databaseRef?.name || !databaseRef.namespace || !shard) continue
    places.set(name, { database: { namespace: databaseRef.namespace, name: databaseRef.name }, shard })
  }
  for (const [name, text] of Object.entries(readPlacement(tenant.metadata.annotations) ?? {})) {
    const place = parsePlace(text)
    if (place) places.set(name, place)
  }
  return places
}

/**
 * Counts tenants per shard as they come and go. A place counts from its choice on, before it is stored, so that many new
 * tenants at once do not all choose the same shard and a retry after a failed write chooses the same one again.
 */
export class Placements {
  readonly #tenants = new Map<string, Set<string>>()
  readonly #places = new Map<string, Map<string, Place>>()

  /** Counts the tenant here, and no longer on another shard of the same Database. */
  put(tenantKey: string, place: Place): void {
    const before = this.chosen(tenantKey, place.database)
    if (before?.shard === place.shard) return
    if (before) this.remove(tenantKey, before.database)
    const places = this.#places.get(tenantKey) ?? new Map<string, Place>()
    this.#places.set(tenantKey, places.set(nameOf(place.database), place))
    const tenants = this.#tenants.get(formatPlace(place)) ?? new Set<string>()
    this.#tenants.set(formatPlace(place), tenants.add(tenantKey))
  }

  /** The place chosen for the tenant in a Database, stored or not yet. */
  chosen(tenantKey: string, database: Place['database']): Place | undefined {
    return this.#places.get(tenantKey)?.get(nameOf(database))
  }

  remove(tenantKey: string, database: Place['database']): void {
    const place = this.chosen(tenantKey, database)
    if (!place) return
    this.#places.get(tenantKey)?.delete(nameOf(database))
    this.#tenants.get(formatPlace(place))?.delete(tenantKey)
  }

  /** The tenant is gone, with all its places. */
  forget(tenantKey: string): void {
    for (const place of this.#places.get(tenantKey)?.values() ?? []) {
      this.#tenants.get(formatPlace(place))?.delete(tenantKey)
    }
    this.#places.delete(tenantKey)
  }

  /** Keys `namespace/name` of all tenants with a place on the shard. */
  tenantsOn(place: Place): readonly string[] {
    return [...(this.#tenants.get(formatPlace(place)) ?? [])]
  }

  /** Ids of all shards that the tenant is on. */
  shardsOf(tenantKey: string): readonly string[] {
    return Array.from(this.#places.get(tenantKey)?.values() ?? [], formatPlace)
  }

  countOn(place: Place): number {
    return this.#tenants.get(formatPlace(place))?.size ?? 0
  }
}

function nameOf({ namespace, name }: Place['database']): string {
  return `${namespace}/${name}`
}
