import { createHash } from 'node:crypto'
import type { RolloutState, RolloutStatus, SchemaSpec } from '@tenantry/crds/schema.ts'
import { standingOf, type Unit } from './unit.ts'

/** Shares of the tenants are counted in millionths. */
export const WHOLE = 1_000_000

const RUNNING: ReadonlySet<RolloutState | undefined> = new Set(['Canary', 'Soaking', 'Wave'])

/** A finished rollout holds for everybody, also for those who come later. */
export function isFinished({ state }: RolloutStatus): boolean {
  return state === 'Done' || state === 'Refused'
}

/** A unit's place in the order of a rollout, from 0 to `WHOLE`: another in each, and the same whenever it is asked for. */
export function positionOf(run: string | undefined, key: string): number {
  const hash = createHash('sha256').update(`${run}/${key}`).digest()
  return hash.readUIntBE(0, 6) % WHOLE
}

type Canary = NonNullable<SchemaSpec['rollout']>['canary']

export function isLabelled(canary: Canary, { labels }: Unit): boolean {
  const wanted = Object.entries(canary?.matchLabels ?? {})
  return wanted.length > 0 && wanted.every(([name, value]) => labels[name] === value)
}

/**
 * Whether the rollout has come to a unit. Whoever it once came to stays: a tenant whose file failed gets it again when it can
 * be mended, also while nobody else does. Whoever failed before the present files were there is among the canaries.
 */
export function isReached(rollout: RolloutStatus, canary: Canary, unit: Unit): boolean {
  const standing = standingOf(unit, rollout.digest)
  if (standing === 'atTarget' || standing === 'failed' || isFinished(rollout)) return true
  if (!RUNNING.has(rollout.state)) return false
  if (unit.state === 'Failed' || isLabelled(canary, unit)) return true
  return positionOf(rollout.run, unit.key) < (rollout.cut ?? 0)
}
