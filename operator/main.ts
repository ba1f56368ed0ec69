import { hostname } from 'node:os'
import { KubeConfig } from '@kubernetes/client-node'
import { systemClock } from './clock.ts'
import { parseConfig } from './config.ts'
import { startOperator } from './operator.ts'
import { createAuthorize } from './telemetry/authorize.ts'
import { serve } from './telemetry/http.ts'
import { createLog } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { startTraceExport } from './telemetry/trace-export.ts'
import { createTracing } from './telemetry/tracing.ts'

const config = parseConfig(process.env)
const log = createLog({ level: config.logLevel })
const metrics = createMetrics()
const traces = await startTraceExport(process.env, log)
const tracing = createTracing(traces?.tracer)
const kubeConfig = new KubeConfig()
kubeConfig.loadFromDefault()

const namespace = config.namespace ?? kubeConfig.getContextObject(kubeConfig.currentContext)?.namespace ?? 'default'
const operator = startOperator({ config, kubeConfig, log, metrics, tracing, instance: hostname(), namespace })
const authorize = createAuthorize(operator.client, systemClock)
const server = await serve({ ...config.http, registry: metrics.registry, ready: () => operator.ready(), authorize })
log.info({ port: server.port, installation: config.installation }, 'the operator runs')

operator.lost.then(
  () => stopping || fail(undefined),
  (error: unknown) => fail(error),
)

let stopping = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(signal))

async function stop(signal: string): Promise<void> {
  if (stopping) return
  stopping = true
  log.info({ signal }, 'the operator stops')
  await operator.stop()
  await server.close()
  await traces?.stop()
  log.info('the operator has stopped')
}

/** A process that led and leads no more must not live on half-knowing: it ends, and starts again as a standby. */
function fail(error: unknown): void {
  log.error({ err: error }, error ? 'the operator cannot work' : 'this process leads no more')
  process.exit(1)
}
