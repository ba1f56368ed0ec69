import { isDeepStrictEqual } from 'node:util'
import { FINALIZER } from '@tenantry/crds/annotations.ts'
import type { Owner } from '@tenantry/engines/model.ts'
import { statusOf } from '../kube/errors.ts'
import type { Informer } from '../kube/reflector.ts'
import { apiVersionOf, type KubeObject } from '../kube/types.ts'
import type { World } from '../world.ts'
import type { Kind } from './model.ts'

/** What every kind of ours has as the API server returns it. */
export interface CustomResource extends KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: KubeObject['metadata'] & {
    readonly namespace: string
    readonly uid: string
    readonly generation: number
  }
  readonly status?: object
}

export function ownerOf(world: World, kind: Kind, { metadata: { namespace, name, uid } }: CustomResource): Owner {
  return { installation: world.installation, kind, namespace, name, uid }
}

/**
 * Persists the finalizer, and with it what must be known before the first side effect, in one write; none when both are
 * there. Returns the object as it is now. Throws `KubernetesConflict` when it changed meanwhile.
 */
export async function claim<T extends CustomResource>(
  world: World,
  informer: Informer<T>,
  object: T,
  annotations: Readonly<Record<string, string>>,
): Promise<T> {
  return await claimWith(world, informer, object, { annotations, also: [] })
}

/** As `claim`, with further finalizers. */
export async function claimWith<T extends CustomResource>(
  world: World,
  informer: Informer<T>,
  object: T,
  { annotations, also }: { annotations: Readonly<Record<string, string>>; also: readonly string[] },
): Promise<T> {
  const { finalizers: held = [], annotations: present = {}, resourceVersion } = object.metadata
  const missing = Object.entries(annotations).filter(([name, value]) => present[name] !== value)
  if ([FINALIZER, ...also].every((name) => held.includes(name)) && missing.length === 0) return object
  const finalizers = [...new Set([...held, ...also])]
  const metadata = {
    resourceVersion,
    finalizers: [...finalizers.filter((name) => name !== FINALIZER), FINALIZER],
    ...(missing.length > 0 && { annotations: Object.fromEntries(missing) }),
  }
  const written = await world.client.patch(informer.type, object.metadata, { metadata }, { type: 'merge' })
  informer.observe(written)
  // The version was asked for, so nothing but the metadata differs; the rest of what is given has been decoded.
  return { ...object, metadata: written.metadata }
}

/** Lets a deleted object go. Gone already is as good. */
export async function release<T extends CustomResource>(world: World, informer: Informer<T>, object: T): Promise<void> {
  await drop(world, informer, object, FINALIZER)
}

/** Takes a finalizer away; returns the object as it is then, undefined when it is gone already. */
export async function drop<T extends CustomResource>(
  world: World,
  informer: Informer<T>,
  object: T,
  finalizer: string,
): Promise<T | undefined> {
  const { finalizers = [], resourceVersion } = object.metadata
  if (!finalizers.includes(finalizer)) return object
  const metadata = { resourceVersion, finalizers: finalizers.filter((name) => name !== finalizer) }
  try {
    const written = await world.client.patch(informer.type, object.metadata, { metadata }, { type: 'merge' })
    informer.observe(written)
    return { ...object, metadata: written.metadata }
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

/** Writes the status if it says anything new. The uid keeps it off an object of the same name made meanwhile. */
export async function writeStatus<T extends CustomResource>(
  world: World,
  informer: Informer<T>,
  object: T,
  status: NonNullable<T['status']>,
): Promise<void> {
  if (isDeepStrictEqual(plain(object.status), plain(status))) return
  const { namespace, name, uid } = object.metadata
  const body = {
    apiVersion: apiVersionOf(informer.type),
    kind: informer.type.kind,
    metadata: { namespace, name, uid },
    status,
  }
  const written = await world.client.apply<KubeObject>(informer.type, body, { subresource: 'status', force: true })
  informer.observe(written as T)
}

/** Without the undefined fields and prototypes that JSON would drop. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}

/** An object whose status tells whether its spec was in force. */
export interface Settleable extends CustomResource {
  readonly status?: {
    readonly observedGeneration?: number | undefined
    readonly conditions?: readonly { readonly type: string; readonly status: string }[] | undefined
  }
}

/** The spec was in force before this look: a difference now is drift, not work in progress. */
export function isSettled({ metadata, status }: Settleable): boolean {
  const ready = status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false
  return ready && status?.observedGeneration === metadata.generation && metadata.deletionTimestamp === undefined
}
