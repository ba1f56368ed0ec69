import { Slices } from '@tenantry/engines/slices.ts'
import type { Log } from '../telemetry/log.ts'
import { IndexMap } from './index-map.ts'
import { type KubeObject, keyOf } from './types.ts'

/** One difference the store went through. A name taken by a new uid is a `deleted` followed by an `added`. */
export interface StoreChange<T extends KubeObject> {
  readonly type: 'added' | 'updated' | 'deleted'
  /** The new state; for `deleted` the last known one. */
  readonly object: T
  /** The state before an `updated`; absent where our own write was the first that was known of the object. */
  readonly previous?: T
  /**
   * `list`: found by the first or a repeated listing. `write`: our own write, ahead of its watch event. Where a write of
   * ours carried somebody else's change into the store, an `updated` of source `watch` follows once that is known, so that
   * whoever ignores own writes misses nothing.
   */
  readonly source: Source
}

export type Source = 'list' | 'watch' | 'write'

/** Maps an object to the values under which an index finds it. */
export type IndexFunction<T> = (object: T) => readonly string[]

/** A local copy of objects of one type. What it hands out is shared and must not be changed. */
export interface Store<T extends KubeObject> {
  readonly size: number
  /** By `namespace/name` (`name` for a type without namespaces). */
  get(key: string): T | undefined
  list(): readonly T[]
  /** The objects which the index function of that name maps to `value`. */
  byIndex(name: string, value: string): readonly T[]
  /** Calls `listener` for every change, in order, at once. Returns the end of it. */
  onChange(listener: (change: StoreChange<T>) => void): () => void
}

interface Entry<T> {
  readonly object: T
  readonly version: bigint
  /** Present while writes of ours are ahead of the watch: their versions, and what was known before the first of them. */
  readonly ahead?: { readonly own: readonly bigint[]; readonly before: T | undefined }
}

/** Reads a resourceVersion, which since Kubernetes 1.35 are comparable numbers. Throws on anything else. */
export function versionOf(resourceVersion: string | undefined): bigint {
  if (resourceVersion === undefined || !/^\d+$/.test(resourceVersion)) {
    throw new Error(`the resourceVersion ${JSON.stringify(resourceVersion)} is not a number`)
  }
  return BigInt(resourceVersion)
}

/** The writable side of a Store. Nothing older ever replaces something newer, whatever order it arrives in. */
export class ObjectStore<T extends KubeObject> implements Store<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #indexes: ReadonlyMap<string, { of: IndexFunction<T>; map: IndexMap }>
  readonly #listeners = new Set<(change: StoreChange<T>) => void>()
  readonly #log: Log
  /** Deletions that our own writes caused and the watch has yet to confirm. */
  readonly #deletions = new Map<string, bigint>()
  /** How far the server's history has been followed: everything up to here is in the store. */
  #followed = 0n

  constructor(log: Log, indexes: Readonly<Record<string, IndexFunction<T>>> = {}) {
    this.#log = log
    this.#indexes = new Map(Object.entries(indexes).map(([name, of]) => [name, { of, map: new IndexMap() }]))
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.object
  }

  list(): readonly T[] {
    return Array.from(this.#entries.values(), (entry) => entry.object)
  }

  byIndex(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name)
    if (!index) throw new Error(`the store has no index ${name}`)
    return Array.from(index.map.keys(value), (key) => this.get(key)).filter((object) => object !== undefined)
  }

  onChange(listener: (change: StoreChange<T>) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes in an ADDED or MODIFIED event. */
  put(object: T): void {
    const version = versionOf(object.metadata.resourceVersion)
    this.#put(object, version, 'watch')
    this.advance(version)
  }

  /** Takes in a DELETED event. */
  remove(object: T): void {
    const version = versionOf(object.metadata.resourceVersion)
    const key = keyOf(object)
    const entry = this.#entries.get(key)
    if (entry && entry.version <= version) this.#drop(key, object, 'watch')
    this.advance(version)
  }

  /** Takes in how far the server's history has come without a change for us. */
  advance(version: bigint): void {
    if (version > this.#followed) this.#followed = version
    for (const [key, deleted] of this.#deletions) if (deleted <= this.#followed) this.#deletions.delete(key)
  }

  /**
   * Shows an object as our own write returned it, at once. A write whose event has passed already is ignored: the store
   * is at least as new, and the object may be gone since.
   */
  observe(object: T): void {
    const version = versionOf(object.metadata.resourceVersion)
    if (version <= this.#followed) return
    const { deletionTimestamp, finalizers = [] } = object.metadata
    if (deletionTimestamp === undefined || finalizers.length > 0) {
      this.#put(object, version, 'write')
      return
    }
    const key = keyOf(object)
    this.#deletions.set(key, version)
    if ((this.#entries.get(key)?.version ?? version + 1n) <= version) this.#drop(key, object, 'write')
  }

  /** Takes in a complete listing made at `resourceVersion`: what it lacks is deleted, except what we wrote since. */
  async replace(found: ReadonlyMap<string, T>, resourceVersion: string): Promise<void> {
    const version = versionOf(resourceVersion)
    // A history that went back (etcd restored from a backup) makes every number we know meaningless.
    const rewound = version < this.#followed
    if (rewound) this.#forgetVersions()
    const slices = new Slices()
    for (const object of found.values()) {
      this.#put(object, versionOf(object.metadata.resourceVersion), 'list')
      if (slices.isOver) await slices.next()
    }
    for (const [key, entry] of this.#entries) {
      if (!found.has(key) && entry.version <= version) this.#drop(key, entry.object, 'list')
    }
    this.advance(version)
  }

  #forgetVersions(): void {
    this.#followed = 0n
    this.#deletions.clear()
    for (const [key, { object }] of this.#entries) this.#entries.set(key, { object, version: 0n })
  }

  #put(object: T, version: bigint, source: Source): void {
    const key = keyOf(object)
    const known = this.#entries.get(key)
    if (known && known.version >= version) {
      this.#confirm(key, known, { version, source })
      return
    }
    if ((this.#deletions.get(key) ?? -1n) >= version) return
    if (known && known.object.metadata.uid !== object.metadata.uid) this.#drop(key, known.object, source)
    this.#set(key, source === 'write' ? aheadOf(this.#entries.get(key), object, version) : { object, version }, source)
  }

  #set(key: string, entry: Entry<T>, source: Source): void {
    const before = this.#entries.get(key)
    const { object } = entry
    this.#entries.set(key, entry)
    this.#index(key, before?.object, object)
    if (before === undefined) {
      this.#emit({ type: 'added', object, source })
      return
    }
    // A listing after a rewind repeats objects that have not changed.
    if (before.object.metadata.resourceVersion === object.metadata.resourceVersion) return
    this.#emitUpdate(object, before.ahead && source !== 'write' ? before.ahead.before : before.object, source)
  }

  // An event of something older than our own write: either that of an earlier write of ours, or somebody else's change.
  #confirm(key: string, known: Entry<T>, { version, source }: { version: bigint; source: Source }): void {
    const { ahead, object } = known
    if (!ahead || source === 'write') return
    const caughtUp = version === known.version
    if (caughtUp) this.#entries.set(key, { object, version })
    // A listing does not say what happened between the two.
    const foreign = caughtUp ? source === 'list' : !ahead.own.includes(version) && version > versionBefore(ahead.before)
    if (foreign) this.#emitUpdate(object, ahead.before, source)
  }

  #drop(key: string, object: T, source: Source): void {
    this.#index(key, this.get(key), undefined)
    this.#entries.delete(key)
    this.#emit({ type: 'deleted', object, source })
  }

  #index(key: string, before: T | undefined, after: T | undefined): void {
    for (const { of, map } of this.#indexes.values()) {
      if (before) map.delete(key, of(before))
      if (after) map.add(key, of(after))
    }
  }

  #emitUpdate(object: T, previous: T | undefined, source: Source): void {
    this.#emit({ type: 'updated', object, source, ...(previous ? { previous } : {}) })
  }

  #emit(change: StoreChange<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (error) {
        this.#log.error({ err: error, key: keyOf(change.object) }, 'a listener of the store failed')
      }
    }
  }
}

function aheadOf<T extends KubeObject>(known: Entry<T> | undefined, object: T, version: bigint): Entry<T> {
  const own = [...(known?.ahead?.own ?? []), version]
  return { object, version, ahead: { own, before: known?.ahead ? known.ahead.before : known?.object } }
}

function versionBefore(object: KubeObject | undefined): bigint {
  return object ? versionOf(object.metadata.resourceVersion) : -1n
}
