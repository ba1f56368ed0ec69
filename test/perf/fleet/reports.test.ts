import { expect, test } from 'vitest'
import { renderFailover } from './failover-report.ts'
import { renderFair } from './fair-report.ts'
import type { Stage, Work } from './fleet.ts'
import { renderFleet } from './fleet-report.ts'
import type { FleetOptions } from './world.ts'

const options: FleetOptions = {
  tenants: 10_000,
  runs: 2,
  postgresServers: 8,
  interval: 120,
  newcomers: 150,
  log: () => undefined,
  signal: new AbortController().signal,
}
const work: Work = {
  seconds: 5.126,
  apiWrites: {},
  engineWrites: 0,
  calls: { 'PostgreSQL observe-all': 8 },
  reads: 28,
  wholeReads: 14,
  reconciles: 0,
  comparisons: 30_000,
  loopDelayMs: 120.44,
}
const stage: Stage = {
  tenants: 1000,
  floor: { list: 1.5, read: 1 },
  cold: { ...work, readySeconds: 2 },
  resync: work,
  idle: { perSecond: 1, byVerb: { get: 15, patch: 15 }, others: 0 },
  peakMemory: 300,
}

const columns = (text: string): number =>
  Math.max(
    ...text
      .split('\n')
      .slice(0, -1)
      .map((line) => line.length),
  )
const json = (text: string) => JSON.parse(text.split('\n').at(-1) ?? '')
const met = (text: string): Readonly<Record<string, boolean>> =>
  Object.fromEntries(json(text).targets.map((one: { name: string; met: boolean }) => [one.name, one.met]))

test('the fleet is judged by its largest stage, and by the reads of the smaller one', () => {
  const more = { ...work, reads: 30 }
  const text = renderFleet(options, [stage, { ...stage, tenants: 10_000, resync: more, peakMemory: undefined }])
  expect(columns(text)).toBeLessThanOrEqual(100)
  expect(met(text)).toEqual({
    'cold start to all verified': true,
    'API writes of the cold start': true,
    'engine writes of the cold start': true,
    'full drift resync': true,
    'reads of shards by a resync': false,
    'peak memory (RSS)': false,
    'event-loop delay p99.9': false,
    'idle requests but watches and lease': true,
  })
})

test('new tenants beside a hanging shard are judged by those that came undisturbed', () => {
  const text = renderFair(options, { undisturbed: [100], besideHanging: [150], duringResync: [2100], resyncs: 4.04 })
  expect(columns(text)).toBeLessThanOrEqual(100)
  expect(met(text)).toEqual({
    'new tenant ready during a resync, p99': false,
    'new tenant ready beside a hanging shard, p99': true,
  })
})

test('of all takeovers the slowest counts', () => {
  const takeover = (seconds: number) => ({ leads: seconds - 0.1, reconciles: seconds })
  const text = renderFailover(options, { crash: [takeover(15), takeover(18)], stop: [takeover(1), takeover(0.5)] })
  expect(columns(text)).toBeLessThanOrEqual(100)
  expect(met(text)).toEqual({
    'first reconcile after a crash (SIGKILL)': false,
    'first reconcile after a graceful stop (SIGTERM)': true,
  })
})
