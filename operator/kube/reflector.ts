import { AppError } from '@tenantry/crds/errors.ts'
import { Slices } from '@tenantry/engines/slices.ts'
import { type Clock, sleep, systemClock } from '../clock.ts'
import { type Backoff, createBackoff } from './backoff.ts'
import type { WatchEvent } from './client.ts'
import { isGone, KubeError, statusOf } from './errors.ts'
import type { Informer, InformerOptions, RelistReason, WatchEnd } from './informer.ts'
import { ObjectStore, versionOf } from './store.ts'
import { type KubeObject, keyOf, type ResourceType, resourceName } from './types.ts'

export type { Informer, InformerMetrics, InformerOptions, RelistReason, WatchEnd } from './informer.ts'

const PAGE = 500
const STALE_AFTER_MS = 180_000
const SHORTEST_WATCH_MS = 1_000
const END_OF_LIST = 'k8s.io/initial-events-end'

/** Makes an informer; it does nothing until `start`. */
export function createInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  return new Reflector(options)
}

class StaleWatch extends Error {}

/** One watch: what a streamed listing has brought so far (undefined once it is complete) and how many events came. */
interface Session<T> {
  found: Map<string, T> | undefined
  events: number
}

class Reflector<T extends KubeObject> implements Informer<T> {
  readonly type: ResourceType<T>
  readonly store: ObjectStore<T>
  readonly #options: InformerOptions<T>
  readonly #clock: Clock
  readonly #random: () => number
  readonly #resource: string
  readonly #synced = Promise.withResolvers<void>()
  #hasSynced = false
  #lastContact: number
  /** Where to continue the watch; undefined when everything has to be listed. */
  #resumeAt: string | undefined
  #relistReason: RelistReason = 'initial'
  #watchList: boolean
  readonly #backoff: Backoff
  readonly #slices = new Slices()

  constructor(options: InformerOptions<T>) {
    this.#options = options
    this.type = options.type
    this.store = new ObjectStore(options.log, options.indexes)
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
    this.#backoff = createBackoff(this.#clock, this.#random)
    this.#resource = resourceName(options.type)
    this.#watchList = options.watchList ?? true
    this.#lastContact = this.#clock.monotonic()
    // Whoever waits gets the rejection; nobody has to wait.
    this.#synced.promise.catch(() => undefined)
  }

  get hasSynced(): boolean {
    return this.#hasSynced
  }

  get lastContactMs(): number {
    return this.#clock.monotonic() - this.#lastContact
  }

  start(signal: AbortSignal): void {
    const { log, metrics } = this.#options
    metrics?.started(this)
    this.#run(signal)
      .catch((error) => {
        log.error({ err: error, resource: this.#resource }, 'the informer stopped')
        this.#synced.reject(error)
      })
      .finally(() => metrics?.stopped(this))
  }

  synced(): Promise<void> {
    return this.#synced.promise
  }

  observe(written: T): void {
    const { namespace } = this.#options
    if (namespace !== undefined && written.metadata.namespace !== namespace) return
    this.store.observe(this.#transform(written))
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waitMs = await this.#follow(signal).then(
        () => 0,
        (error) => (signal.aborted ? 0 : this.#recover(error)),
      )
      if (waitMs > 0) await sleep(this.#clock, waitMs, signal)
    }
    this.#synced.reject(new AppError('KubernetesUnavailable', `list ${this.#resource}: stopped before it was complete`))
  }

  // One listing where there is need, and one watch until the server closes it.
  async #follow(signal: AbortSignal): Promise<void> {
    if (this.#resumeAt === undefined) {
      this.#options.metrics?.relisted(this.#resource, this.#relistReason)
      if (!this.#watchList) await this.#list(signal)
    }
    const session: Session<T> = { found: this.#resumeAt === undefined ? new Map() : undefined, events: 0 }
    const started = this.#clock.monotonic()
    await this.#watch(session, signal)
    const tooShort = session.events === 0 && this.#clock.monotonic() - started < SHORTEST_WATCH_MS
    if (tooShort || session.found) {
      throw new KubeError('KubernetesUnavailable', `watch ${this.#resource}: the server closed the watch at once`)
    }
    this.#options.metrics?.watchEnded(this.#resource, 'closed')
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, type } = this.#options
    const found = new Map<string, T>()
    let token: string | undefined
    let resourceVersion: string
    do {
      const page = await client.list(type, { ...this.#selection(), limit: PAGE, continue: token, signal })
      this.#touch()
      for (const item of page.items) {
        this.#collect(found, item)
        if (this.#slices.isOver) await this.#slices.next()
      }
      token = page.continue
      resourceVersion = page.resourceVersion
    } while (token !== undefined)
    await this.#complete(found, resourceVersion)
  }

  async #watch(session: Session<T>, signal: AbortSignal): Promise<void> {
    const control = new AbortController()
    const stopGuard = this.#guard(control)
    const watch = this.#options.client.watch(this.#options.type, {
      ...this.#selection(),
      resourceVersion: this.#resumeAt,
      sendInitialEvents: session.found !== undefined,
      timeoutSeconds: 300 + Math.floor(this.#random() * 301),
      signal: AbortSignal.any([signal, control.signal]),
    })
    try {
      for await (const event of watch) await this.#take(event, session)
    } catch (error) {
      if (!control.signal.aborted) throw error
      this.#onStale(session)
      throw control.signal.reason
    } finally {
      stopGuard()
    }
  }

  async #take(event: WatchEvent<T>, session: Session<T>): Promise<void> {
    this.#touch()
    session.events++
    if (this.#slices.isOver) await this.#slices.next()
    if (session.found === undefined) this.#receive(event)
    else if (await this.#receiveInitial(event, session.found)) session.found = undefined
  }

  #selection(): Pick<InformerOptions<T>, 'namespace' | 'labelSelector' | 'fieldSelector'> {
    const { namespace, labelSelector, fieldSelector } = this.#options
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    }
  }

  #receive({ type, object }: WatchEvent<T>): void {
    const { resourceVersion } = object.metadata
    if (type === 'BOOKMARK') this.store.advance(versionOf(resourceVersion))
    else if (type === 'DELETED') this.store.remove(this.#transform(object))
    else this.store.put(this.#transform(object))
    this.#resumeAt = resourceVersion
  }

  // True when this was the last event of a streamed listing.
  async #receiveInitial({ type, object }: WatchEvent<T>, found: Map<string, T>): Promise<boolean> {
    if (type === 'DELETED') found.delete(keyOf(object))
    else if (type !== 'BOOKMARK') this.#collect(found, object)
    else if (object.metadata.annotations?.[END_OF_LIST] === 'true') {
      await this.#complete(found, object.metadata.resourceVersion ?? '')
      return true
    }
    return false
  }

  #collect(found: Map<string, T>, object: T): void {
    found.set(keyOf(object), this.#transform(object))
  }

  #transform(object: T): T {
    return this.#options.transform?.(object) ?? object
  }

  async #complete(found: ReadonlyMap<string, T>, resourceVersion: string): Promise<void> {
    await this.store.replace(found, resourceVersion)
    this.#resumeAt = resourceVersion
    if (!this.#hasSynced) this.#options.log.debug({ resource: this.#resource, objects: found.size }, 'informer synced')
    this.#hasSynced = true
    this.#synced.resolve()
  }

  #touch(): void {
    this.#lastContact = this.#clock.monotonic()
  }

  // Aborts a watch that has been silent for too long. The timer is moved when it fires, not at every event.
  #guard(control: AbortController): () => void {
    const limit = this.#options.staleAfterMs ?? STALE_AFTER_MS
    const since = this.#clock.monotonic()
    let cancel: () => void
    const check = (): void => {
      const silentMs = this.#clock.monotonic() - Math.max(this.#lastContact, since)
      if (silentMs >= limit) control.abort(new StaleWatch(`nothing was heard for ${Math.round(silentMs / 1000)} s`))
      else cancel = this.#clock.setTimeout(check, limit - silentMs)
    }
    cancel = this.#clock.setTimeout(check, limit)
    return () => cancel()
  }

  #onStale({ found, events }: Session<T>): void {
    // A server that takes no notice of sendInitialEvents never says that the listing is complete.
    if (found) this.#watchList = false
    // Not one bookmark: the version asked for may lie in a future that never comes (a restored etcd).
    if (events === 0) this.#expire('stale')
  }

  #expire(reason: RelistReason): void {
    this.#resumeAt = undefined
    this.#relistReason = reason
  }

  // Milliseconds to wait before the next attempt.
  #recover(error: unknown): number {
    const end = endOf(error)
    this.#options.metrics?.watchEnded(this.#resource, end)
    if (this.#cannotStream(error)) {
      this.#watchList = false
      this.#options.log.info({ resource: this.#resource }, 'the server does not stream listings; listing in pages')
      return 0
    }
    if (end === 'expired') this.#expire('expired')
    const waitMs = this.#wait(error, end)
    this.#options.log.warn({ resource: this.#resource, end, waitMs, reason: messageOf(error) }, 'watch interrupted')
    return waitMs
  }

  #cannotStream(error: unknown): boolean {
    const status = statusOf(error)
    return this.#resumeAt === undefined && this.#watchList && (status === 400 || status === 422)
  }

  #wait(error: unknown, end: WatchEnd): number {
    const asked = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0
    const { calm } = this.#backoff
    const paced = this.#backoff.next()
    // A first expiry after a quiet time is no emergency of the server's.
    return Math.max(asked, end === 'expired' && calm ? 0 : paced)
  }
}

// A watch refused as a bad request cannot be continued from where it was: most likely its version makes no sense.
function endOf(error: unknown): WatchEnd {
  if (error instanceof StaleWatch) return 'stale'
  return isGone(error) || statusOf(error) === 400 ? 'expired' : 'error'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
