import { table } from '../../../cli/table.ts'
import { mean, percentile, round } from '../statistics.ts'
import type { Fairness } from './fair.ts'
import { type Target, targetsJson, targetsTable } from './targets.ts'
import type { FleetOptions } from './world.ts'

const LIMIT_MS = 2000
const MOST_TIMES = 1.5

/** Tables of at most 100 columns, and one line of JSON behind them. */
export function renderFair({ tenants, postgresServers }: FleetOptions, measured: Fairness): string {
  const { undisturbed, besideHanging, duringResync, resyncs } = measured
  const p99 = (values: readonly number[]): number => Math.round(percentile(values, 0.99))
  const targets: readonly Target[] = [
    { name: 'new tenant ready during a resync, p99', value: p99(duringResync), limit: LIMIT_MS, unit: 'ms' },
    {
      name: 'new tenant ready beside a hanging shard, p99',
      value: p99(besideHanging),
      limit: MOST_TIMES * p99(undisturbed),
      unit: 'ms',
    },
  ]
  const parts = { undisturbed, besideHanging, duringResync }
  const figures = Object.fromEntries(Object.entries(parts).map(([name, values]) => [name, figuresOf(values)]))
  const result = {
    bench: 'fair',
    tenants,
    postgresServers,
    resyncs: round(resyncs, 1),
    targets: targetsJson(targets),
    readyMs: figures,
  }
  const rows = Object.entries(figures).map(([name, { count, mean: average, p50, p99: slowest, max }]) => [
    TITLES[name] ?? name,
    ...[count, average, p50, slowest, max].map(String),
  ])
  const headings = ['NEW TENANTS', 'COUNT', 'MEAN MS', 'P50 MS', 'P99 MS', 'MAX MS']
  return [targetsTable(targets), table(headings, rows), JSON.stringify(result)].join('\n\n')
}

const TITLES: Readonly<Record<string, string>> = {
  undisturbed: 'undisturbed',
  besideHanging: 'on other shards while one hangs',
  duringResync: 'while the fleet is compared',
}

interface Figures {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

function figuresOf(values: readonly number[]): Figures {
  return {
    count: values.length,
    mean: Math.round(mean(values)),
    p50: Math.round(percentile(values, 0.5)),
    p99: Math.round(percentile(values, 0.99)),
    max: Math.round(Math.max(...values)),
  }
}
