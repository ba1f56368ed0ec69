import type { KubeConfig } from '@kubernetes/client-node'
import { FIELD_MANAGER } from '@tenantry/crds/annotations.ts'
import { type Clock, systemClock } from '../clock.ts'
import { type Log, silentLog } from '../telemetry/log.ts'
import { type Answer, callWithRetries, cancelled } from './call.ts'
import { countRequests, type RequestCounts, type RequestRecord } from './requests.ts'
import { describeTarget, pathOf, type Target } from './target.ts'
import { type Call, createTransport } from './transport.ts'
import { apiVersionOf, type KubeObject, type ResourceType, resourceName } from './types.ts'
import { decodeWatch, tidy, type WatchEvent } from './watch-stream.ts'

export type { WatchEvent } from './watch-stream.ts'

/** Which object; an object's `metadata` is one. */
export interface ObjectRef {
  readonly namespace?: string | undefined
  readonly name: string
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
}

export interface GetOptions extends RequestOptions {
  /** With managedFields, which are left out otherwise. */
  readonly whole?: boolean | undefined
}

export interface SelectOptions extends RequestOptions {
  /** Absent: every namespace. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly resourceVersion?: string | undefined
}

export interface ListOptions extends SelectOptions {
  readonly limit?: number | undefined
  readonly continue?: string | undefined
}

export interface WatchOptions extends SelectOptions {
  readonly timeoutSeconds?: number | undefined
  /** Asks for every existing object as ADDED first, then a BOOKMARK with the annotation k8s.io/initial-events-end. */
  readonly sendInitialEvents?: boolean | undefined
}

export interface WriteOptions extends RequestOptions {
  readonly subresource?: 'status' | 'scale' | undefined
}

export interface ApplyOptions extends WriteOptions {
  /** Takes fields over from other managers. For objects the operator owns; never for what a user wrote. */
  readonly force?: boolean | undefined
}

export interface PatchOptions extends WriteOptions {
  /** `merge`: an object of RFC 7396. `json`: an array of RFC 6902. */
  readonly type: 'merge' | 'json'
}

export interface RemoveOptions extends RequestOptions {
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly resourceVersion: string
  /** Present when there is another page. */
  readonly continue?: string
}

/**
 * The Kubernetes API over one connection pool. Every method throws KubeError (an AppError): `KubernetesConflict` on 409,
 * `KubernetesUnavailable` when nobody answered or the server cannot serve now, `KubernetesRejected` on any other
 * refusal; `statusOf` tells the HTTP status. 429 is retried for every verb, other failures of the server for reads
 * only, a few times. An abort throws the signal's reason where that is an AppError.
 */
export interface KubeClient {
  /** What was sent so far. */
  readonly requests: RequestCounts
  /** The object, or undefined when there is none. */
  get<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, options?: GetOptions): Promise<T | undefined>
  /** One page. */
  list<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<Page<T>>
  /** Events until the server closes the stream, always with bookmarks. Never retried. The request is made at the first `next`. */
  watch<T extends KubeObject>(type: ResourceType<T>, options?: WatchOptions): AsyncGenerator<WatchEvent<T>, void>
  create<T extends KubeObject>(type: ResourceType<T>, object: T, options?: RequestOptions): Promise<T>
  /** Server-side apply: the fields given here become exactly what the operator owns of the object. */
  apply<T extends KubeObject>(type: ResourceType<T>, object: T, options?: ApplyOptions): Promise<T>
  patch<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, patch: object, options: PatchOptions): Promise<T>
  /** Deletes; true when there was an object to delete, false when there was none. A failed precondition is a KubernetesConflict. */
  remove(type: ResourceType, ref: ObjectRef, options?: RemoveOptions): Promise<boolean>
  close(): Promise<void>
}

export interface ClientOptions {
  /** Loaded; its current context is used. Plain http needs `insecure-skip-tls-verify: true`. */
  readonly kubeConfig: KubeConfig
  readonly log?: Log
  readonly onRequest?: (record: RequestRecord) => void
  readonly clock?: Clock
  readonly random?: () => number
}

/** Builds a client. Nothing is sent until the first call. */
export function createClient(options: ClientOptions): KubeClient {
  const { clock = systemClock, random = Math.random, log = silentLog } = options
  const transport = createTransport(options.kubeConfig, clock)
  const { counts, record } = countRequests()
  const onRequest = (request: RequestRecord): void => {
    record(request)
    options.onRequest?.(request)
  }
  const send: Send = (type, target, call) =>
    callWithRetries(
      { transport, clock, random, log, onRequest },
      {
        verb: target.verb,
        type,
        resource: resourceName(type) + (target.subresource ? `/${target.subresource}` : ''),
        doing: describeTarget(type, target),
        call: { ...call, path: pathOf(type, target) },
      },
    )
  return { requests: counts, ...readsOver(send), ...writesOver(send), close: () => transport.close() }
}

type Send = (type: ResourceType, target: Target, call: Omit<Call, 'path'> & { absentIs?: 404 }) => Promise<Answer>

function readsOver(send: Send): Pick<KubeClient, 'get' | 'list' | 'watch'> {
  return {
    get: async (type, { namespace, name }, { signal, whole } = {}) => {
      const answer = await send(type, { verb: 'get', namespace, name }, { method: 'GET', signal, absentIs: 404 })
      if (answer.status === 404) return undefined
      return whole ? (answer.body as never) : tidy(type, answer.body as never)
    },
    list: async (type, { namespace, signal, ...query } = {}) => {
      const answer = await send(type, { verb: 'list', namespace, query }, { method: 'GET', signal })
      return pageOf(type, answer.body as WirePage)
    },
    watch: async function* (type, { namespace, signal, sendInitialEvents, ...selection } = {}) {
      const initial = sendInitialEvents ? { sendInitialEvents, resourceVersionMatch: 'NotOlderThan' } : {}
      const query = { ...selection, ...initial, watch: true, allowWatchBookmarks: true }
      const target: Target = { verb: 'watch', namespace, query }
      const answer = await send(type, target, { method: 'GET', signal, watch: true })
      try {
        yield* decodeWatch(describeTarget(type, target), type, answer.stream)
      } catch (error) {
        throw signal?.aborted ? cancelled(describeTarget(type, target), signal) : error
      }
    },
  }
}

function writesOver(send: Send): Pick<KubeClient, 'create' | 'apply' | 'patch' | 'remove'> {
  return {
    create: async (type, object, { signal } = {}) => {
      const { namespace, name } = object.metadata
      const target: Target = { verb: 'create', namespace, subject: name, query: { fieldManager: FIELD_MANAGER } }
      const body = json('application/json', withType(type, object))
      return tidy(type, (await send(type, target, { method: 'POST', signal, ...body })).body as never)
    },
    apply: async (type, object, { signal, subresource, force } = {}) => {
      const { namespace, name } = object.metadata
      const query = { fieldManager: FIELD_MANAGER, force: force || undefined }
      const body = json('application/apply-patch+yaml', withType(type, object))
      const target: Target = { verb: 'apply', namespace, name, subresource, query }
      return tidy(type, (await send(type, target, { method: 'PATCH', signal, ...body })).body as never)
    },
    patch: async (type, { namespace, name }, patch, { signal, subresource, type: kind }) => {
      const body = json(kind === 'merge' ? 'application/merge-patch+json' : 'application/json-patch+json', patch)
      const target: Target = { verb: 'patch', namespace, name, subresource, query: { fieldManager: FIELD_MANAGER } }
      return tidy(type, (await send(type, target, { method: 'PATCH', signal, ...body })).body as never)
    },
    remove: async (type, { namespace, name }, { signal, uid, resourceVersion, propagationPolicy } = {}) => {
      const preconditions = uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion }
      const options = { kind: 'DeleteOptions', apiVersion: 'v1', preconditions, propagationPolicy }
      const body = json('application/json', options)
      const target: Target = { verb: 'delete', namespace, name }
      return (await send(type, target, { method: 'DELETE', signal, absentIs: 404, ...body })).status !== 404
    },
  }
}

interface WirePage {
  readonly items?: readonly KubeObject[] | null
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
}

function pageOf<T extends KubeObject>(type: ResourceType<T>, page: WirePage): Page<T> {
  const items = (page.items ?? []).map((item) => tidy(type, item as T))
  const next = page.metadata?.continue
  return { items, resourceVersion: page.metadata?.resourceVersion ?? '', ...(next ? { continue: next } : {}) }
}

function json(contentType: string, value: object): { contentType: string; body: string } {
  return { contentType, body: JSON.stringify(value) }
}

function withType<T extends KubeObject>(type: ResourceType<T>, object: T): T {
  return { ...object, apiVersion: apiVersionOf(type), kind: type.kind }
}
