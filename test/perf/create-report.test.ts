import { expect, test } from 'vitest'
import type { FloorRound, OperatorRound } from './create.ts'
import { renderCreate } from './create-report.ts'

const floor = (seconds: number): FloorRound => ({
  seconds,
  phases: new Map([['PostgreSQL login', { count: 10, ms: 5 }]]),
  cpu: new Map([['postgres', 20]]),
})
const operator = (seconds: number): OperatorRound => ({
  seconds,
  latencies: [100, 200, 300],
  apiWrites: 5,
  phases: new Map([['PostgreSQL apply', { count: 10, ms: 12.34 }]]),
  cpu: new Map([
    ['postgres', 30],
    ['kube-scheduler', 0.01],
  ]),
})
const options = { tenants: 10, runs: 3, log: () => undefined, signal: new AbortController().signal }
const text = renderCreate(options, [floor(2), floor(1), floor(4)], [operator(4), operator(8), operator(2.5)])

test('the last line is JSON with medians of all runs and of their ratios', () => {
  expect(JSON.parse(text.split('\n').at(-1) ?? '')).toEqual({
    bench: 'create',
    tenants: 10,
    engines: 3,
    runs: 3,
    seconds: 4,
    perSecond: 2.5,
    floor: { seconds: 2, perSecond: 5 },
    ratio: 0.5,
    cpuRatio: 0.667,
    p50Ms: 200,
    p99Ms: 300,
    apiWritesPerTenant: 5,
    cpuMsPerTenant: { operator: { postgres: 30 }, floor: { postgres: 20 } },
    phases: {
      operator: { 'PostgreSQL apply': { perTenant: 1, ms: 12.3 } },
      floor: { 'PostgreSQL login': { perTenant: 1, ms: 5 } },
    },
  })
})

test('the tables fit a terminal of a hundred columns', () => {
  const lines = text.split('\n').slice(0, -1)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100)
})
