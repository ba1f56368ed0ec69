import { table } from '../../../cli/table.ts'
import { round } from '../statistics.ts'

/** A figure beside what it is to be. `limit`: at most that. */
export interface Target {
  readonly name: string
  readonly value: number
  readonly limit: number
  readonly unit: string
}

/** Not met by a figure that could not be measured. */
export function isMet({ value, limit }: Target): boolean {
  return value <= limit
}

export function targetsTable(targets: readonly Target[]): string {
  const rows = targets.map((target) => {
    const { name, value, limit, unit } = target
    return [name, withUnit(round(value, 2), unit), `≤ ${withUnit(round(limit, 2), unit)}`, isMet(target) ? 'yes' : 'NO']
  })
  return table(['FIGURE', 'MEASURED', 'TARGET', 'MET'], rows)
}

function withUnit(value: number, unit: string): string {
  return unit === '' ? String(value) : `${value} ${unit}`
}

export function targetsJson(targets: readonly Target[]): readonly object[] {
  return targets.map((target) => ({
    ...target,
    value: Number.isFinite(target.value) ? round(target.value, 3) : null,
    limit: round(target.limit, 3),
    met: isMet(target),
  }))
}
