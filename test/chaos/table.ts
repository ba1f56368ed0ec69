import type { CampaignResult, PlanResult } from './campaign.ts'
import { type Plan, titleOf } from './plan.ts'

/** Prints what came of every class, and all of it as one line of JSON at the end. True when nothing diverged. */
export function printTable({ results, points, possible, seconds }: CampaignResult): boolean {
  const classes = [...new Set(results.map(({ plan }) => classOf(plan)))]
  const rows = classes.map((kind) =>
    rowOf(
      kind,
      results.filter(({ plan }) => classOf(plan) === kind),
    ),
  )
  const total = rowOf('all', results)
  const head = ['class', 'plans', 'converged', 'diverged', 'missed', 'median s']
  const cells = [head, ...[...rows, total].map((row) => Object.values(row).map(String))]
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  for (const row of cells) write(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
  for (const { plan, file } of results.filter(({ verdict }) => verdict === 'diverged')) {
    write(`diverged: ${plan.suite} ${titleOf(plan)} (seed ${plan.seed}): ${file}`)
  }
  const failed = results.flatMap(({ verdict, file }) => (verdict === 'diverged' && file ? [file] : []))
  write(JSON.stringify({ points, possible, seconds: Math.round(seconds), ...total, classes: rows, failed }))
  return failed.length === 0
}

function classOf({ fault }: Plan): string {
  return fault?.kind ?? 'none'
}

interface Row {
  readonly class: string
  readonly plans: number
  readonly converged: number
  readonly diverged: number
  readonly missed: number
  readonly median: number
}

function rowOf(kind: string, results: readonly PlanResult[]): Row {
  const of = (verdict: PlanResult['verdict']): number => results.filter((result) => result.verdict === verdict).length
  const times = results.map(({ seconds }) => seconds).toSorted((a, b) => a - b)
  const median = Math.round((times[times.length >> 1] ?? 0) * 10) / 10
  return {
    class: kind,
    plans: results.length,
    converged: of('converged'),
    diverged: of('diverged'),
    missed: of('missed'),
    median,
  }
}

function write(line: string): void {
  process.stdout.write(`${line}\n`)
}
