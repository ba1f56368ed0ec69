import { randomUUID } from 'node:crypto'
import {
  type Attributes,
  isSpanContextValid,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { ANNOTATIONS } from '@tenantry/crds/annotations.ts'
import type { RequestRecord } from '../kube/requests.ts'
import type { KubeObject } from '../kube/types.ts'
import { currentReconcile, inReconcile, type ReconcileContext } from './reconcile-context.ts'

/** What is known of a reconcile before it runs. */
export interface ReconcileAbout<T extends KubeObject = KubeObject> {
  readonly controller: string
  /** `namespace/name`. */
  readonly key: string
  readonly cause: string
  /** 1 for the first since the last success. */
  readonly attempt: number
  /** The object as it is now; asked only when tracing is on. */
  readonly object: () => T | undefined
  /** True when the spec was in force before: its trace has ended, and this look only refers to it. */
  readonly settled: (object: T) => boolean
}

/** A finished call to an engine. */
export interface EngineCall {
  readonly engine: string
  readonly op: string
  /** `namespace/database/shard`. */
  readonly shard: string
  readonly ok: boolean
  readonly seconds: number
  /** Of the AppError, when it failed. */
  readonly code?: string
  /** Every reconcile that the call was made for, when it was made for several at once. */
  readonly joined?: readonly ReconcileContext[]
}

/**
 * Gives every reconcile its id and, when tracing is on, a span with a child for each call to an engine and each request
 * to the API server. No attribute holds anything but names, numbers and codes.
 */
export interface Tracing {
  /** Runs one reconcile; what it resolves with is the `result` of the span. */
  reconcile<R extends string, T extends KubeObject>(about: ReconcileAbout<T>, work: () => Promise<R>): Promise<R>
  /** To be called where the call was awaited, when it has ended. */
  called(call: EngineCall): void
  requested(record: RequestRecord): void
}

/** Without a tracer nothing but the id is left. */
export function createTracing(tracer?: Tracer): Tracing {
  if (!tracer) return OFF
  return {
    reconcile: async (about, work) => {
      const epochMs = Date.now() - performance.now()
      const id = randomUUID()
      const span = startReconcile(tracer, about, { id, epochMs })
      try {
        const result = await inReconcile({ id, span, epochMs }, work)
        span.setAttribute('tenantry.result', result)
        if (result === 'error') span.setStatus({ code: SpanStatusCode.ERROR })
        return result
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR })
        throw error
      } finally {
        span.end(epochMs + performance.now())
      }
    },
    called: (call) => traceCall(tracer, call),
    requested: (record) => traceRequest(tracer, record),
  }
}

const OFF: Tracing = {
  reconcile: (_about, work) => inReconcile({ id: randomUUID(), epochMs: 0 }, work),
  called: () => undefined,
  requested: () => undefined,
}

function startReconcile<T extends KubeObject>(
  tracer: Tracer,
  about: ReconcileAbout<T>,
  { id, epochMs }: ReconcileContext,
): Span {
  const object = about.object()
  const [namespace, name] = about.key.split('/')
  const attributes: Attributes = {
    'tenantry.controller': about.controller,
    'k8s.namespace.name': namespace,
    'tenantry.name': name,
    'tenantry.generation': object?.metadata.generation,
    'tenantry.cause': about.cause,
    'tenantry.attempt': about.attempt,
    'tenantry.reconcile_id': id,
  }
  const options: SpanOptions = { startTime: epochMs + performance.now(), attributes }
  const remote = parseTraceparent(object?.metadata.annotations?.[ANNOTATIONS.traceparent])
  const title = `reconcile ${about.controller}`
  if (!remote || !object) return tracer.startSpan(title, options, ROOT_CONTEXT)
  if (about.settled(object)) return tracer.startSpan(title, { ...options, links: [{ context: remote }] }, ROOT_CONTEXT)
  return tracer.startSpan(title, options, trace.setSpanContext(ROOT_CONTEXT, remote))
}

const DB_SYSTEM: Readonly<Record<string, string>> = {
  PostgreSQL: 'postgresql',
  Redis: 'redis',
  ClickHouse: 'clickhouse',
}

function traceCall(tracer: Tracer, { engine, op, shard, ok, seconds, code, joined = [] }: EngineCall): void {
  const reconcile = currentReconcile()
  if (!reconcile) return
  const others = joined.filter((one) => one !== reconcile)
  const links: Link[] = others.flatMap(({ span }) => (span ? [{ context: span.spanContext() }] : []))
  const attributes: Attributes = {
    'db.system.name': DB_SYSTEM[engine],
    'db.operation.name': op,
    'tenantry.engine': engine,
    'tenantry.op': op,
    'tenantry.shard': shard,
    'tenantry.reconcile_id': reconcile.id,
    'error.type': code,
  }
  if (others.length > 0) attributes['tenantry.joined'] = joined.length
  child(tracer, reconcile, { name: `${engine} ${op}`, attributes, links, failed: !ok, ms: seconds * 1000 })
}

function traceRequest(tracer: Tracer, { verb, resource, method, code, host, durationMs }: RequestRecord): void {
  const reconcile = currentReconcile()
  if (!reconcile) return
  const status = Number(code)
  const absent = status === 404 && (verb === 'get' || verb === 'delete')
  const failed = !(status < 400) && !absent
  const attributes: Attributes = {
    'tenantry.verb': verb,
    'tenantry.resource': resource,
    'tenantry.code': code,
    'tenantry.reconcile_id': reconcile.id,
    'http.request.method': method,
    'http.response.status_code': Number.isNaN(status) ? undefined : status,
    'server.address': host,
    'error.type': failed ? code : undefined,
  }
  child(tracer, reconcile, { name: `${verb} ${resource}`, attributes, links: [], failed, ms: durationMs })
}

interface Ended {
  readonly name: string
  readonly attributes: Attributes
  readonly links: Link[]
  readonly failed: boolean
  readonly ms: number
}

/** Made when the call is over, so that calls need not know that they are traced. */
function child(
  tracer: Tracer,
  { span, epochMs }: ReconcileContext,
  { name, attributes, links, failed, ms }: Ended,
): void {
  if (!span) return
  const endTime = epochMs + performance.now()
  const options = { kind: SpanKind.CLIENT, startTime: endTime - ms, attributes, links }
  const made = tracer.startSpan(name, options, trace.setSpan(ROOT_CONTEXT, span))
  if (failed) made.setStatus({ code: SpanStatusCode.ERROR })
  made.end(endTime)
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** The span that a W3C traceparent names; undefined for anything else, as the standard wants it. */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text ?? '') ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  const context: SpanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true }
  return isSpanContextValid(context) ? context : undefined
}
