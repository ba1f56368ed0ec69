/** What tests of tracing share: a log and an exporter of a test's own, and things to trace. */
import { Writable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { createLog, type Log } from '../log.ts'
import { startTraceExport } from '../trace-export.ts'
import { createTracing, type EngineCall, type ReconcileAbout, type Tracing } from '../tracing.ts'
import type { ReceivedSpan } from './otlp-decode.ts'
import { startOtlpReceiver } from './otlp-receiver.ts'

/** `lines`: what was logged so far. */
export function capture(): { log: Log; lines: () => Record<string, unknown>[] } {
  const lines: string[] = []
  const destination = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk))
      done()
    },
  })
  return { log: createLog({ level: 'debug', destination }), lines: () => lines.map((line) => JSON.parse(line)) }
}

/** Tracing that exports to a receiver of the test's own. `received` ends the tracing and returns all spans. */
export async function startTracing(env: Readonly<Record<string, string>> = {}): Promise<{
  readonly tracing: Tracing
  readonly received: () => Promise<readonly ReceivedSpan[]>
}> {
  const receiver = await startOtlpReceiver()
  onTestFinished(() => receiver.close())
  const { log } = capture()
  const traces = await startTraceExport({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, ...env }, log)
  onTestFinished(() => traces?.stop())
  const received = async (): Promise<readonly ReceivedSpan[]> => {
    await traces?.stop()
    return receiver.spans
  }
  return { tracing: createTracing(traces?.tracer), received }
}

export function about(fields: Partial<ReconcileAbout> = {}): ReconcileAbout {
  const defaults = { controller: 'tenant', key: 'shop/acme', cause: 'change', attempt: 1 }
  return { ...defaults, object: () => undefined, settled: () => false, ...fields }
}

export const call = (fields: Partial<EngineCall> = {}): EngineCall => ({
  engine: 'PostgreSQL',
  op: 'apply',
  shard: 'platform/oltp/s0',
  ok: true,
  seconds: 0.001,
  ...fields,
})

export const request = { verb: 'apply', resource: 'secrets', method: 'PATCH', host: 'api:443', durationMs: 1 } as const
