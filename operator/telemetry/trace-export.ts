import { setTimeout as wait } from 'node:timers/promises'
import { DiagLogLevel, diag, type Tracer } from '@opentelemetry/api'
import type { Sampler } from '@opentelemetry/sdk-trace'
import type { Log } from './log.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where spans go to. */
export interface TraceExport {
  readonly tracer: Tracer
  /** Sends what is left, for so long at most, and stops. */
  stop(withinMs?: number): Promise<void>
}

const STOP_WITHIN_MS = 5_000
const MOST_WAITING = 8_192

/**
 * The URL for traces, as OpenTelemetry's variables say: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT as it is, or
 * OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces. Undefined when tracing is off.
 */
export function tracesUrl(env: Environment): string | undefined {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return undefined
  if (env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
  const base = env.OTEL_EXPORTER_OTLP_ENDPOINT
  return base ? `${base.replace(/\/+$/, '')}/v1/traces` : undefined
}

/**
 * Starts to export spans in batches to the endpoint that the environment names; undefined, with nothing loaded, when it
 * names none. Headers, compression, timeout and certificates are read from OTEL_EXPORTER_OTLP_* by the exporter itself.
 */
export async function startTraceExport(env: Environment, log: Log): Promise<TraceExport | undefined> {
  const url = tracesUrl(env)
  if (url === undefined) return undefined
  const [{ OTLPTraceExporter }, { BatchSpanProcessor, TracerProvider }, resource] = await Promise.all([
    import('@opentelemetry/exporter-trace-otlp-proto'),
    import('@opentelemetry/sdk-trace'),
    describeProcess(),
  ])
  sendComplaintsTo(log)
  const processor = new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }), maxQueueSize: MOST_WAITING })
  const sampler = await createSampler(env)
  const provider = new TracerProvider({ resource, spanProcessors: [processor], ...(sampler && { sampler }) })
  return { tracer: provider.getTracer('tenantry'), stop: (withinMs = STOP_WITHIN_MS) => stop(provider, log, withinMs) }
}

async function describeProcess() {
  const {
    defaultResource,
    detectResources,
    resourceAttributesEnvDetector,
    resourceFromAttributes,
    serviceNameEnvDetector,
  } = await import('@opentelemetry/resources')
  const given = detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] })
  return defaultResource()
    .merge(resourceFromAttributes({ 'service.name': 'tenantry-operator' }))
    .merge(given)
}

/** A collector that is away is no reason to stop, and none to fill the log either: the exporter complains once a batch. */
function sendComplaintsTo(log: Log): void {
  const say = (message: string): void => log.warn({ reason: message }, 'spans could not be exported')
  const nothing = (): void => undefined
  const logger = { error: say, warn: say, info: nothing, debug: nothing, verbose: nothing }
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
}

/** As OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say; by default every trace, unless its parent is not sampled. */
async function createSampler(env: Environment): Promise<Sampler | undefined> {
  const { AlwaysOffSampler, AlwaysOnSampler, ParentBasedSampler, TraceIdRatioBasedSampler } = await import(
    '@opentelemetry/sdk-trace'
  )
  const roots: Readonly<Record<string, () => Sampler>> = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(Number(env.OTEL_TRACES_SAMPLER_ARG ?? 1)),
  }
  const [, parentBased, name] = /^(parentbased_)?(.*)$/.exec(env.OTEL_TRACES_SAMPLER ?? '') ?? []
  const root = roots[name ?? '']?.()
  return root && parentBased ? new ParentBasedSampler({ root }) : root
}

async function stop(provider: { shutdown(): Promise<void> }, log: Log, withinMs: number): Promise<void> {
  const lost = (err?: unknown): void => log.warn({ err }, 'the last spans could not be exported')
  const giveUp = new AbortController()
  const timeout = wait(withinMs, undefined, { signal: giveUp.signal }).then(
    () => lost(),
    () => undefined,
  )
  await Promise.race([provider.shutdown().catch(lost), timeout])
  giveUp.abort()
}
