import { table } from '../../../cli/table.ts'
import { round } from '../statistics.ts'
import { sum } from './counters.ts'
import type { Stage, Work } from './fleet.ts'
import { type Target, targetsJson, targetsTable } from './targets.ts'
import type { FleetOptions } from './world.ts'

/** Tables of at most 100 columns, and one line of JSON behind them. The last stage is the whole fleet. */
export function renderFleet(options: FleetOptions, stages: readonly Stage[]): string {
  const targets = targetsOf(stages)
  const { postgresServers, interval } = options
  const result = {
    bench: 'fleet',
    tenants: options.tenants,
    engines: 3,
    shards: { PostgreSQL: 8, Redis: 4, ClickHouse: 2 },
    postgresServers,
    intervalSeconds: interval,
    targets: targetsJson(targets),
    stages: stages.map(stageJson),
  }
  return [targetsTable(targets), stagesTable(stages), callsTable(stages), JSON.stringify(result)].join('\n\n')
}

function targetsOf(stages: readonly Stage[]): readonly Target[] {
  const [small, whole] = [stages[0], stages.at(-1)]
  if (!small || !whole) throw new Error('nothing was measured')
  const delay = Math.max(whole.cold.loopDelayMs, whole.resync.loopDelayMs)
  return [
    { name: 'cold start to all verified', value: whole.cold.seconds, limit: 60, unit: 's' },
    { name: 'API writes of the cold start', value: sum(whole.cold.apiWrites), limit: 0, unit: '' },
    { name: 'engine writes of the cold start', value: whole.cold.engineWrites, limit: 0, unit: '' },
    { name: 'full drift resync', value: whole.resync.seconds, limit: 10, unit: 's' },
    { name: 'reads of shards by a resync', value: whole.resync.reads, limit: small.resync.reads, unit: '' },
    { name: 'peak memory (RSS)', value: whole.peakMemory ?? Number.NaN, limit: 400, unit: 'MiB' },
    { name: 'event-loop delay p99.9', value: delay, limit: 100, unit: 'ms' },
    { name: 'idle requests but watches and lease', value: whole.idle.others, limit: 0, unit: '' },
  ]
}

function stagesTable(stages: readonly Stage[]): string {
  const row = (name: string, tell: (stage: Stage) => string): readonly string[] => [name, ...stages.map(tell)]
  const work = (title: string, pick: (stage: Stage) => Work): readonly (readonly string[])[] => [
    row(title, (stage) => `${pick(stage).seconds.toFixed(1)} s`),
    row('  comparisons of tenants with a shard', (stage) => String(pick(stage).comparisons)),
    row('  reconciles of tenants', (stage) => String(pick(stage).reconciles)),
    row('  reads of shards (of them whole)', (stage) => `${pick(stage).reads} (${pick(stage).wholeReads})`),
    row('  API writes', (stage) => String(sum(pick(stage).apiWrites))),
    row('  event-loop delay p99.9', (stage) => `${Math.round(pick(stage).loopDelayMs)} ms`),
  ]
  const rows = [
    ...work('cold start', ({ cold }) => cold),
    row('  of it until all is listed', ({ cold }) => `${cold.readySeconds.toFixed(1)} s`),
    ...work('drift resync', ({ resync }) => resync),
    row('floor: list all, read all shards', ({ floor }) => `${floor.list.toFixed(1)} s, ${floor.read.toFixed(1)} s`),
    row('  of the cold start, of the resync', (stage) => `${ratios(stage).cold}, ${ratios(stage).resync}`),
    row('idle requests to the API', ({ idle }) => `${idle.perSecond.toFixed(2)}/s`),
    row('peak memory (RSS)', ({ peakMemory }) => `${Math.round(peakMemory ?? Number.NaN)} MiB`),
  ]
  return table(['', ...stages.map(({ tenants }) => `${tenants} TENANTS`)], rows)
}

function callsTable(stages: readonly Stage[]): string {
  const names = [...new Set(stages.flatMap(({ cold, resync }) => Object.keys({ ...cold.calls, ...resync.calls })))]
  const rows = names
    .toSorted()
    .map((name) => [
      name,
      ...stages.flatMap(({ cold, resync }) => [String(cold.calls[name] ?? 0), String(resync.calls[name] ?? 0)]),
    ])
  const headings = stages.flatMap(({ tenants }) => [`COLD ${tenants}`, `RESYNC ${tenants}`])
  return table(['CALLS TO ENGINES', ...headings], rows)
}

/** The floor's share of the time taken. */
function ratios({ floor, cold, resync }: Stage): { readonly cold: number; readonly resync: number } {
  return { cold: round((floor.list + floor.read) / cold.seconds, 2), resync: round(floor.read / resync.seconds, 2) }
}

function stageJson(stage: Stage): object {
  const { tenants, floor, cold, resync, idle, peakMemory } = stage
  return {
    tenants,
    floor: { list: round(floor.list, 2), read: round(floor.read, 2) },
    ratios: ratios(stage),
    cold: { ...workJson(cold), readySeconds: round(cold.readySeconds, 2) },
    resync: workJson(resync),
    idle: { ...idle, perSecond: round(idle.perSecond, 2) },
    peakMemoryMiB: peakMemory === undefined ? null : Math.round(peakMemory),
  }
}

function workJson(work: Work): object {
  return { ...work, seconds: round(work.seconds, 2), loopDelayMs: round(work.loopDelayMs, 1) }
}
