import { expect, test } from 'vitest'
import { parseMetrics } from '../metrics.ts'
import {
  apiRequests,
  apiWrites,
  callsByOp,
  engineWrites,
  reads,
  readyTenants,
  sum,
  underWay,
  wholeReads,
} from './counters.ts'

const calls = 'tenantry_engine_call_duration_seconds_count'
const operator = parseMetrics(`
${calls}{engine="PostgreSQL",op="observe-all",outcome="success"} 8
${calls}{engine="PostgreSQL",op="observe-all",outcome="error"} 1
${calls}{engine="Redis",op="observe",outcome="success"} 3
${calls}{engine="Redis",op="apply",outcome="success"} 2
workqueue_depth{name="tenant",controller="tenant",priority="0"} 4
controller_runtime_active_workers{controller="database"} 1
tenantry_pool_calls{engine="Redis",state="in_use"} 2
tenantry_conditions{kind="Tenant",type="Ready",status="True"} 10
tenantry_conditions{kind="Tenant",type="Ready",status="False"} 1
tenantry_conditions{kind="Database",type="Ready",status="True"} 3
`)
const server = parseMetrics(`
apiserver_request_total{verb="PATCH",resource="tenants",subresource="status",code="200"} 5
apiserver_request_total{verb="PATCH",resource="tenants",subresource="",code="409"} 1
apiserver_request_total{verb="PATCH",resource="leases",subresource="",code="200"} 30
apiserver_request_total{verb="LIST",resource="secrets",subresource="",code="200"} 2
apiserver_request_total{verb="WATCH",resource="secrets",subresource="",code="200"} 7
apiserver_request_total{verb="POST",resource="serviceaccounts",subresource="token",code="201"} 9
`)

test('reads, writes and what is under way are told apart', () => {
  expect(wholeReads(operator)).toBe(9)
  expect(reads(operator)).toBe(12)
  expect(engineWrites(operator)).toBe(2)
  expect(underWay(operator)).toBe(7)
  expect(readyTenants(operator)).toBe(10)
  expect(callsByOp(operator)).toEqual({ 'PostgreSQL observe-all': 9, 'Redis observe': 3, 'Redis apply': 2 })
})

test('of the API server count only requests about what is ours, without leases and watches', () => {
  expect(apiWrites(server)).toEqual({ 'PATCH tenants/status': 5, 'PATCH tenants': 1 })
  expect(sum(apiRequests(server))).toBe(8)
})
