import { table } from '../../cli/table.ts'
import type { CpuTimes } from './cpu.ts'
import type { FloorRound, OperatorRound } from './create.ts'
import type { PlatformOptions } from './platform.ts'
import { mean, median, percentile, round } from './statistics.ts'
import type { Phase } from './stopwatch.ts'

const ENGINES = 3

export interface Options extends PlatformOptions {
  readonly tenants: number
  readonly runs: number
}

/**
 * Tables of at most 100 columns, and one line of JSON behind them. Rates are medians over the runs. `ratio` is the median of
 * each run's own ratio, because floor and operator of one run share the machine's mood. `cpuRatio` compares the processor time
 * of all programs together, which busy neighbours disturb less; null where it cannot be read.
 */
export function renderCreate(
  { tenants, runs }: Options,
  floors: readonly FloorRound[],
  operators: readonly OperatorRound[],
): string {
  const floor = median(floors.map(({ seconds }) => seconds))
  const operator = median(operators.map(({ seconds }) => seconds))
  const ratios = operators.map(({ seconds }, i) => (floors[i]?.seconds ?? Number.NaN) / seconds)
  const latencies = operators.flatMap((one) => one.latencies)
  const phases = {
    operator: phasesJson(operators.map(phasesIn), tenants),
    floor: phasesJson(floors.map(phasesIn), tenants),
  }
  const cpuMsPerTenant = { operator: cpuJson(operators), floor: cpuJson(floors) }
  const result = {
    bench: 'create',
    tenants,
    engines: ENGINES,
    runs,
    seconds: round(operator, 2),
    perSecond: round(tenants / operator, 2),
    floor: { seconds: round(floor, 2), perSecond: round(tenants / floor, 2) },
    ratio: round(median(ratios), 3),
    cpuRatio: cpuRatio(cpuMsPerTenant),
    p50Ms: Math.round(percentile(latencies, 0.5)),
    p99Ms: Math.round(percentile(latencies, 0.99)),
    apiWritesPerTenant: round(median(operators.map(({ apiWrites }) => apiWrites)), 2),
    cpuMsPerTenant,
    phases,
  }
  return [
    roundsTable(tenants, floors, operators),
    phasesTable(phases),
    cpuTable(cpuMsPerTenant),
    JSON.stringify(result),
  ].join('\n\n')
}

function roundsTable(tenants: number, floors: readonly FloorRound[], operators: readonly OperatorRound[]): string {
  const rows = operators.map(({ seconds, latencies }, i) => {
    const floor = floors[i]?.seconds ?? Number.NaN
    return [
      String(i + 1),
      (tenants / floor).toFixed(1),
      (tenants / seconds).toFixed(1),
      (floor / seconds).toFixed(2),
      `${Math.round(percentile(latencies, 0.5))} ms`,
      `${Math.round(percentile(latencies, 0.99))} ms`,
    ]
  })
  return table(['RUN', 'FLOOR TENANTS/S', 'OPERATOR TENANTS/S', 'RATIO', 'READY P50', 'READY P99'], rows)
}

function phasesIn({ phases }: { readonly phases: ReadonlyMap<string, Phase> }): ReadonlyMap<string, Phase> {
  return phases
}

type Phases = Readonly<Record<string, { readonly perTenant: number; readonly ms: number }>>

/** Means over all runs. */
function phasesJson(rounds: readonly ReadonlyMap<string, Phase>[], tenants: number): Phases {
  const names = [...new Set(rounds.flatMap((phases) => [...phases.keys()]))].toSorted()
  const entries = names.map((name) => {
    const found = rounds.flatMap((phases) => phases.get(name) ?? [])
    const count = found.reduce((sum, phase) => sum + phase.count, 0)
    const perTenant = round(count / rounds.length / tenants, 2)
    return [name, { perTenant, ms: round(mean(found.map(({ ms }) => ms)), 1) }] as const
  })
  return Object.fromEntries(entries)
}

function phasesTable({ operator, floor }: Readonly<Record<'operator' | 'floor', Phases>>): string {
  const names = [...new Set([...Object.keys(operator), ...Object.keys(floor)])].toSorted()
  const cells = (phase: Phases[string] | undefined): readonly [string, string] =>
    phase ? [String(phase.perTenant), `${phase.ms} ms`] : ['', '']
  const rows = names.map((name) => [name, ...cells(operator[name]), ...cells(floor[name])])
  return table(['PART', 'OPERATOR CALLS/TENANT', 'EACH', 'FLOOR CALLS/TENANT', 'EACH'], rows)
}

type Cpu = Readonly<Record<string, number>>

/** Means over all runs, the greatest first; whatever took less than a tenth of a millisecond is left out. */
function cpuJson(rounds: readonly { readonly cpu: CpuTimes }[]): Cpu {
  const names = [...new Set(rounds.flatMap(({ cpu }) => [...cpu.keys()]))]
  const entries = names.map((name) => [name, round(mean(rounds.map(({ cpu }) => cpu.get(name) ?? 0)), 1)] as const)
  return Object.fromEntries(entries.filter(([, ms]) => ms > 0).toSorted(([, a], [, b]) => b - a))
}

function cpuTable({ operator, floor }: Readonly<Record<'operator' | 'floor', Cpu>>): string {
  const names = [...new Set([...Object.keys(operator), ...Object.keys(floor)])]
  const cell = (ms: number | undefined): string => (ms === undefined ? '' : `${ms} ms`)
  const rows = names.map((name) => [name, cell(operator[name]), cell(floor[name])])
  return table(
    ['PROCESSOR TIME PER TENANT', 'OPERATOR', 'FLOOR'],
    [...rows, ['all', cell(round(total(operator), 1)), cell(round(total(floor), 1))]],
  )
}

function total(cpu: Cpu): number {
  return Object.values(cpu).reduce((sum, ms) => sum + ms, 0)
}

function cpuRatio({ operator, floor }: Readonly<Record<'operator' | 'floor', Cpu>>): number | null {
  return total(operator) > 0 ? round(total(floor) / total(operator), 3) : null
}
