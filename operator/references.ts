import { isDeepStrictEqual } from 'node:util'
import { AppError } from '@tenantry/crds/errors.ts'
import { type Clock, sleep } from './clock.ts'
import type { ObjectRef } from './kube/client.ts'
import type { Informer } from './kube/reflector.ts'
import type { StoreChange } from './kube/store.ts'
import { type ConfigMap, type KubeObject, type ResourceType, resourceName, type Secret } from './kube/types.ts'

interface Watched {
  readonly informer: Informer<KubeObject>
  readonly stop: AbortController
  readonly users: Set<string>
  /** Somebody gave up waiting for the first sight of it. */
  late: boolean
}

export interface ReferencesOptions {
  /** An informer, not yet started, for one object alone. */
  readonly open: (type: ResourceType, ref: Required<ObjectRef>) => Informer<KubeObject>
  /**
   * Called with everyone that uses an object when it appeared, changed or went. Without `content` it holds what it held before:
   * only its metadata changed.
   */
  readonly onChange: (users: readonly string[], content: boolean) => void
  readonly clock: Clock
  /** How long to wait for an object that was not looked at before, in milliseconds; 10 seconds when absent. */
  readonly patienceMs?: number
}

/**
 * Objects that a spec names one by one: connection Secrets and ConfigMaps. Each is watched alone, so that the operator
 * needs no right to read, and no memory to hold, all Secrets of the cluster, and still sees a mended Secret at once.
 */
export class References {
  readonly #options: ReferencesOptions
  readonly #watched = new Map<string, Watched>()

  constructor(options: ReferencesOptions) {
    this.#options = options
  }

  /**
   * The object as last seen, undefined when there is none. `user` hears of its changes until it lets go. Throws AppError
   * `KubernetesUnavailable` when the API server does not show it in time; `user` hears when it does.
   */
  async get<T extends KubeObject>(
    user: string,
    type: ResourceType<T>,
    ref: Required<ObjectRef>,
  ): Promise<T | undefined> {
    const watched = this.#watched.get(keyFor(type, ref)) ?? this.#watch(type, ref)
    watched.users.add(user)
    if (!watched.informer.hasSynced) await this.#synced(watched, `read ${keyFor(type, ref)}`)
    return watched.informer.store.get(`${ref.namespace}/${ref.name}`) as T | undefined
  }

  /** Shows a watched object as our own write returned it, at once; that causes no change. */
  observe(type: ResourceType, written: KubeObject): void {
    const { namespace = '', name } = written.metadata
    this.#watched.get(keyFor(type, { namespace, name }))?.informer.observe(written)
  }

  /** Lets go of all that `user` uses except `keep`; what nobody uses any more is no longer watched. */
  release(
    user: string,
    keep: readonly { readonly type: ResourceType; readonly ref: Required<ObjectRef> }[] = [],
  ): void {
    const kept = new Set(keep.map(({ type, ref }) => keyFor(type, ref)))
    for (const [key, watched] of this.#watched) {
      if (kept.has(key) || !watched.users.delete(user) || watched.users.size > 0) continue
      watched.stop.abort()
      this.#watched.delete(key)
    }
  }

  /** Whoever may not read it would wait for ever. */
  async #synced(watched: Watched, doing: string): Promise<void> {
    const { clock, patienceMs = 10_000 } = this.#options
    const done = new AbortController()
    const late = sleep(clock, patienceMs, done.signal).then((slept) => {
      if (!slept) return
      watched.late = true
      const todo = "look into the log, and check the operator's RBAC rules"
      throw new AppError('KubernetesUnavailable', `${doing}: the Kubernetes API has not shown it yet; ${todo}`)
    })
    await Promise.race([watched.informer.synced(), late]).finally(() => done.abort())
  }

  close(): void {
    for (const watched of this.#watched.values()) watched.stop.abort()
    this.#watched.clear()
  }

  #watch(type: ResourceType, ref: Required<ObjectRef>): Watched {
    const informer = this.#options.open(type, ref)
    const watched: Watched = { informer, stop: new AbortController(), users: new Set(), late: false }
    watched.informer.store.onChange((change) => {
      if (!watched.informer.hasSynced || change.source === 'write') return
      this.#options.onChange([...watched.users], change.type !== 'updated' || hasOtherContent(change))
    })
    watched.informer.start(watched.stop.signal)
    const tellLate = () => watched.late && this.#options.onChange([...watched.users], true)
    informer.synced().then(tellLate, () => undefined)
    this.#watched.set(keyFor(type, ref), watched)
    return watched
  }
}

/** What Secrets and ConfigMaps hold. */
function hasOtherContent({ object, previous }: StoreChange<KubeObject>): boolean {
  const content = (of: Secret & ConfigMap): unknown => [of.data, of.binaryData]
  return !previous || !isDeepStrictEqual(content(object), content(previous))
}

function keyFor(type: ResourceType, { namespace, name }: Required<ObjectRef>): string {
  return `${resourceName(type)}/${namespace}/${name}`
}
