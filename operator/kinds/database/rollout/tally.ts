import { clip } from '@tenantry/crds/common.ts'
import { type RolloutSpec, type RolloutStatus, STRAGGLERS_MAX } from '@tenantry/crds/schema.ts'
import { isReached } from './reach.ts'
import { standingOf, type Unit } from './unit.ts'

/** How many units are where. `open`: pending although the rollout has come to them; `candidates`: it may still come to them. */
export interface Tally {
  readonly total: number
  readonly atTarget: number
  readonly pending: number
  readonly failed: number
  readonly suspended: number
  readonly open: number
}

/** Counts the units that were in use, and those for which a file failed. */
export function tallyOf(rollout: RolloutStatus, canary: RolloutSpec['canary'], units: readonly Unit[]): Tally {
  const tally = { total: 0, atTarget: 0, pending: 0, failed: 0, suspended: 0, open: 0 }
  for (const unit of units) {
    const standing = standingOf(unit, rollout.digest)
    if (!unit.settled && standing !== 'failed') continue
    tally.total += 1
    tally[standing] += 1
    if (standing === 'pending' && isReached(rollout, canary, unit)) tally.open += 1
  }
  return tally
}

/** Those that the budget cannot bear any more halt a rollout. */
export function isOverBudget(maxFailures: string, { failed, total }: Pick<Tally, 'failed' | 'total'>): boolean {
  const share = maxFailures.endsWith('%')
  const limit = Number(maxFailures.replace('%', ''))
  return failed > (share ? Math.floor((total * limit) / 100) : limit)
}

/** Who should have the files and has not: failures first. */
export function stragglersOf(
  rollout: RolloutStatus,
  canary: RolloutSpec['canary'],
  units: readonly Unit[],
): NonNullable<RolloutStatus['stragglers']> {
  const failed = units.filter((unit) => standingOf(unit, rollout.digest) === 'failed')
  const stuck = units.filter(
    (unit) =>
      unit.settled &&
      unit.message !== undefined &&
      standingOf(unit, rollout.digest) === 'pending' &&
      isReached(rollout, canary, unit),
  )
  return [...failed, ...stuck].slice(0, STRAGGLERS_MAX).map(({ key, version, message }) => ({
    tenant: key,
    ...(version !== undefined && { version }),
    ...(message !== undefined && { message: clip(message, 256) }),
  }))
}
