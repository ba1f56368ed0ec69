import type { Clock } from '../clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import type { IndexFunction, Store } from './store.ts'
import type { KubeObject, ResourceType } from './types.ts'

/** Why everything had to be listed. */
export type RelistReason = 'initial' | 'expired' | 'stale'
/** How a watch ended. */
export type WatchEnd = 'closed' | 'expired' | 'stale' | 'error'

/** Told of what an informer goes through. */
export interface InformerMetrics {
  started(informer: Informer<KubeObject>): void
  stopped(informer: Informer<KubeObject>): void
  relisted(resource: string, reason: RelistReason): void
  watchEnded(resource: string, end: WatchEnd): void
}

export interface InformerOptions<T extends KubeObject> {
  readonly client: KubeClient
  readonly type: ResourceType<T>
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
  /** Applied to every object before it is kept: drop what nobody reads. Must keep `metadata`. */
  readonly transform?: (object: T) => T
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>
  readonly clock?: Clock
  readonly random?: () => number
  readonly log: Log
  readonly metrics?: InformerMetrics
  /** How long a watch may be silent before it is taken for dead, in milliseconds. Bookmarks come about every minute. */
  readonly staleAfterMs?: number
  /** False: list in pages even where the server could stream the listing. */
  readonly watchList?: boolean
}

/** Keeps a store equal to what the server has, whatever happens to the connection. */
export interface Informer<T extends KubeObject> {
  readonly type: ResourceType<T>
  readonly store: Store<T>
  readonly hasSynced: boolean
  /** Milliseconds since the server was last heard; since creation, when never. */
  readonly lastContactMs: number
  /** Runs until `signal` aborts. To be called once. */
  start(signal: AbortSignal): void
  /** Resolves when the store held everything for the first time; rejects when stopped before. */
  synced(): Promise<void>
  /** Shows an object as a write returned it, at once and until the watch has caught up. It must match the selectors. */
  observe(written: T): void
}
