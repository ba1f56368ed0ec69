import { expect, test } from 'vitest'
import { growth, parseMetrics, seriesOf } from './metrics.ts'
import { apiWrites, phasesOfOperator } from './operator-cost.ts'

const before = parseMetrics(`# HELP rest_client_requests_total Number of HTTP requests
# TYPE rest_client_requests_total counter
rest_client_requests_total{code="200",method="PATCH",host="127.0.0.1:6443"} 10
rest_client_requests_total{code="200",method="GET",host="127.0.0.1:6443"} 7
process_cpu_seconds_total 1.5
`)
const after = parseMetrics(`rest_client_requests_total{code="200",method="PATCH",host="127.0.0.1:6443"} 40
rest_client_requests_total{code="409",method="PATCH",host="127.0.0.1:6443"} 2
rest_client_requests_total{code="200",method="GET",host="127.0.0.1:6443"} 27
tenantry_engine_call_duration_seconds_bucket{le="0.1",engine="Redis",op="apply",outcome="success"} 8
tenantry_engine_call_duration_seconds_sum{engine="Redis",op="apply",outcome="success"} 0.5
tenantry_engine_call_duration_seconds_count{engine="Redis",op="apply",outcome="success"} 8
tenantry_engine_call_duration_seconds_sum{engine="Redis",op="apply",outcome="error"} 1.5
tenantry_engine_call_duration_seconds_count{engine="Redis",op="apply",outcome="error"} 2
process_cpu_seconds_total 2.5
`)

test('samples are read with their labels, comments are not', () => {
  expect(seriesOf(before, 'rest_client_requests_total')).toEqual([
    { labels: { code: '200', method: 'PATCH', host: '127.0.0.1:6443' }, value: 10 },
    { labels: { code: '200', method: 'GET', host: '127.0.0.1:6443' }, value: 7 },
  ])
  expect(seriesOf(before, 'process_cpu_seconds_total')).toEqual([{ labels: {}, value: 1.5 }])
})

test('growth counts a new series from zero', () => {
  const grown = growth(before, after)
  expect(grown.get('process_cpu_seconds_total')).toBe(1)
  expect(grown.get('rest_client_requests_total{code="409",method="PATCH",host="127.0.0.1:6443"}')).toBe(2)
})

test('phases join the outcomes of one kind of call', () => {
  expect([...phasesOfOperator(growth(before, after))]).toEqual([['Redis apply', { count: 10, ms: 200 }]])
})

test('API writes are requests that could change something, but for leases and the creation of Tenants', () => {
  const lines = [
    ...['APPLY,secrets,201', 'APPLY,tenants,200', 'PATCH,tenants,409', 'POST,events,201'],
    ...['POST,tenants,201', 'PUT,leases,200', 'GET,secrets,404', 'WATCH,tenants,200'],
  ].map((line) => {
    const [verb, resource, code] = line.split(',')
    return `apiserver_request_total{code="${code}",resource="${resource}",verb="${verb}"} 2`
  })
  expect(apiWrites(parseMetrics(lines.join('\n')))).toBe(8)
})
