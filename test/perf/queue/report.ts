import { median, round } from '../statistics.ts'
import type { Round } from './measure.ts'
import { SIDES, type SideName } from './sides.ts'

/** The rounds of each side. */
export type Rounds = Readonly<Record<SideName, readonly Round[]>>

/** A ratio and what it has to be; `reached` by the direction of the target. */
export interface Ratio {
  readonly ratio: number
  readonly target: string
  readonly reached: boolean
}

/** The medians of a side. */
export function medians(rounds: readonly Round[]): Round {
  const of = (key: keyof Round): number => median(rounds.map((one) => one[key]))
  return {
    single: of('single'),
    bulk: of('bulk'),
    process: of('process'),
    p50: of('p50'),
    p99: of('p99'),
    cpu: of('cpu'),
  }
}

/** What the figures come to beside the peers'. */
export function ratios(all: Readonly<Record<SideName, Round>>): Readonly<Record<string, Ratio>> {
  const { ours, graphile, bullmq } = all
  const boss = all['pg-boss']
  const least = (ratio: number, target: number): Ratio => ({
    ratio: round(ratio, 2),
    target: `>= ${target}`,
    reached: ratio >= target,
  })
  const most = (ratio: number, target: number): Ratio => ({
    ratio: round(ratio, 2),
    target: `<= ${target}`,
    reached: ratio <= target,
  })
  return {
    processToBestPostgresPeer: least(ours.process / Math.max(graphile.process, boss.process), 1.2),
    processToBullmq: least(ours.process / bullmq.process, 1),
    bulkToBestPeer: least(ours.bulk / Math.max(graphile.bulk, boss.bulk, bullmq.bulk), 1.5),
    singleToBullmq: least(ours.single / bullmq.single, 0.8),
    startP50ToBullmq: most(ours.p50 / bullmq.p50, 2),
    startP99ToBullmq: most(ours.p99 / bullmq.p99, 3),
  }
}

/** A table of medians and one of ratios, and as last line all of it as JSON. */
export function renderQueue(rounds: Rounds): string {
  const names = Object.keys(SIDES) as SideName[]
  const all = Object.fromEntries(names.map((name) => [name, medians(rounds[name])])) as Record<SideName, Round>
  const found = ratios(all)
  const header = ['queue', 'single/s', 'bulk/s', 'process/s', 'start p50 ms', 'p99 ms', 'Node CPU µs/job']
  const rows = names.map((name) => {
    const { single, bulk, process, p50, p99, cpu } = all[name]
    return [
      SIDES[name].title,
      ...[single, bulk, process].map((n) => String(Math.round(n))),
      p50.toFixed(1),
      p99.toFixed(1),
      cpu.toFixed(0),
    ]
  })
  const judged = Object.entries(found).map(([name, { ratio, target, reached }]) => [
    name,
    String(ratio),
    target,
    reached ? 'yes' : 'NO',
  ])
  const json = { bench: 'queue', runs: rounds.ours.length, ratios: found, medians: all, rounds }
  return [
    table([header, ...rows]),
    '',
    table([['ratio', 'found', 'target', 'reached'], ...judged]),
    '',
    JSON.stringify(json),
  ].join('\n')
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n')
}
