import { ANNOTATIONS } from '@tenantry/crds/annotations.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../../test/support/operator.ts'
import { everywhere, makePlatform, READY } from '../../test/support/platform.ts'
import { TENANTS } from '../operator.ts'
import { silentLog } from './log.ts'
import type { ReceivedSpan } from './testing/otlp-decode.ts'
import { type OtlpReceiver, startOtlpReceiver } from './testing/otlp-receiver.ts'
import { startTraceExport, type TraceExport } from './trace-export.ts'
import { createTracing } from './tracing.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

let receiver: OtlpReceiver
let traces: TraceExport | undefined
let op: TestOperator

beforeAll(async () => {
  receiver = await startOtlpReceiver()
  traces = await startTraceExport({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint }, silentLog)
  op = await startTestOperator({}, { tracing: createTracing(traces?.tracer) })
  await makePlatform(op)
})
afterAll(async () => {
  await traces?.stop()
  await receiver.close()
})

describe('a traced operator', () => {
  let spans: readonly ReceivedSpan[]
  let made: readonly ReceivedSpan[]

  beforeAll(async () => {
    const annotations = { [ANNOTATIONS.traceparent]: `00-${TRACE}-${PARENT}-01` }
    await op.applyTenant({ name: 'acme', spec: everywhere(), annotations })
    await untilCondition(op, TENANTS, 'acme', { condition: READY })
    await until('the trace of the creation to arrive', async () => {
      expect(receiver.spans.some(({ traceId, name }) => traceId === TRACE && name.includes('/status'))).toBe(true)
    })
    await op.applyTenant({
      name: 'acme',
      spec: everywhere(),
      annotations: { ...annotations, [ANNOTATIONS.adopt]: 'false' },
    })
    await until('a later look at the tenant to link to it', async () => {
      expect(receiver.spans.some(({ links }) => links.includes(`${TRACE}-${PARENT}`))).toBe(true)
    })
    spans = [...receiver.spans]
    made = spans.filter(({ traceId }) => traceId === TRACE)
  })

  test('continues the trace of whoever made the tenant, down to the engines and the API server', () => {
    const roots = made.filter(({ parentSpanId }) => parentSpanId === PARENT)
    expect(roots.length).toBeGreaterThan(0)
    for (const root of roots)
      expect(root).toMatchObject({ name: 'reconcile tenant', attributes: { 'tenantry.name': 'acme' } })
    const names = new Set(made.map(({ name }) => name))
    for (const engine of ['PostgreSQL', 'Redis', 'ClickHouse']) {
      expect(names).toContain(`${engine} observe`)
      expect(names).toContain(`${engine} apply`)
    }
    expect(names).toContain('patch tenants.tenantry.dev')
    expect(names).toContain('apply tenants.tenantry.dev/status')
    expect([...names].filter((name) => /^(apply|create) secrets$/.test(name))).toHaveLength(1)
  })

  test('hangs every span below a reconcile, within its time and with its id', async () => {
    const calls = spans.filter(({ name }) => !name.startsWith('reconcile '))
    const known = () => new Set(receiver.spans.map(({ spanId }) => spanId))
    // A reconcile is told of when it is over, its calls before.
    await until('every reconcile to arrive', async () => {
      const reconciles = known()
      expect(calls.filter(({ parentSpanId }) => !reconciles.has(parentSpanId))).toEqual([])
    })
    const byId = new Map(receiver.spans.map((span) => [span.spanId, span]))
    expect(calls.length).toBeGreaterThan(10)
    for (const call of calls) {
      const parent = byId.get(call.parentSpanId)
      expect(parent?.name, call.name).toMatch(/^reconcile (tenant|database)$/)
      expect(call.traceId).toBe(parent?.traceId)
      expect(call.attributes['tenantry.reconcile_id']).toBe(parent?.attributes['tenantry.reconcile_id'])
      expect(call.start).toBeGreaterThanOrEqual((parent?.start ?? 0) - CLOCK_GRAIN_MS)
      expect(call.end).toBeLessThanOrEqual((parent?.end ?? 0) + CLOCK_GRAIN_MS)
    }
  })

  test('says which shard was asked for what', () => {
    const apply = made.find(({ name }) => name === 'PostgreSQL apply')
    expect(apply?.attributes).toMatchObject({
      'tenantry.engine': 'PostgreSQL',
      'tenantry.op': 'apply',
      'tenantry.shard': `${op.namespace}/oltp/s0`,
    })
  })

  test('logs what it did under the id of the reconcile', () => {
    const applied = op
      .logged()
      .split('\n')
      .filter((line) => line.includes('"applied a plan"') && line.includes('"acme"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(applied).toHaveLength(3)
    const ids = made.map(({ attributes }) => attributes['tenantry.reconcile_id'])
    for (const { reconcileId, traceId } of applied) {
      expect(ids).toContain(reconcileId)
      expect(traceId).toBe(TRACE)
    }
  })

  test('puts no password into any span', async () => {
    const text = receiver.text()
    for (const name of ['acme-oltp', 'acme-cache', 'acme-analytics', 'oltp-s0', 'cache-s0']) {
      const { password } = await op.secret(name)
      if (password) expect(text.includes(password), name).toBe(false)
    }
  })
})

/** A call's time is taken on the operator's clock, and placed on the trace's in milliseconds of a double. */
const CLOCK_GRAIN_MS = 1
