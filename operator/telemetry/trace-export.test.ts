import { describe, expect, onTestFinished, test } from 'vitest'
import { startOtlpReceiver } from './testing/otlp-receiver.ts'
import { about, capture, startTracing } from './testing/tracing-lab.ts'
import { startTraceExport, tracesUrl } from './trace-export.ts'
import { createTracing } from './tracing.ts'

/** So many spans are not held back. */
const FULL_BATCH = 512

describe('the export', () => {
  test.each([
    [{}, undefined],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, undefined],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318/' }, 'http://c:4318/v1/traces'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/x' }, 'http://t/x'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_SDK_DISABLED: 'true' }, undefined],
  ])('with %j goes to %j', (env, url) => {
    expect(tracesUrl(env)).toBe(url)
  })

  test.each([
    ['always_off', 0],
    ['parentbased_always_on', 1],
    ['traceidratio', 0],
    ['parentbased_traceidratio', 0],
  ])('samples %s as OpenTelemetry’s variables say', async (sampler, expected) => {
    const { tracing, received } = await startTracing({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: '0' })
    await tracing.reconcile(about(), async () => 'success')
    expect(await received()).toHaveLength(expected)
  })

  test('that is refused is complained of in the log', async () => {
    const receiver = await startOtlpReceiver()
    onTestFinished(() => receiver.close())
    const { log, lines } = capture()
    const traces = await startTraceExport({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.endpoint}/wrong` }, log)
    onTestFinished(() => traces?.stop())
    const tracing = createTracing(traces?.tracer)
    for (let span = 0; span < FULL_BATCH; span++) await tracing.reconcile(about(), async () => 'success')
    const complaint = expect.objectContaining({ level: 'warn', msg: 'spans could not be exported' })
    await expect.poll(lines, { timeout: 30_000 }).toContainEqual(complaint)
  })

  test('to nobody does not keep the process from stopping', async () => {
    const { log, lines } = capture()
    const traces = await startTraceExport({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }, log)
    await createTracing(traces?.tracer).reconcile(about(), async () => 'success')
    await traces?.stop(50)
    expect(lines()).toEqual([expect.objectContaining({ level: 'warn', msg: 'the last spans could not be exported' })])
  })
})
