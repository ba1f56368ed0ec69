import { parseDuration } from '@tenantry/crds/common.ts'
import type { RolloutSpec, RolloutStatus } from '@tenantry/crds/schema.ts'
import { positionOf, WHOLE } from './reach.ts'
import type { Unit } from './unit.ts'

/** One step of the way to everybody. */
interface Wave {
  readonly number: number
  /** Undefined: the tenants with the canary's labels. */
  readonly percent: number | undefined
}

const PERCENT = WHOLE / 100

/** The canary is wave 0; everybody is the last wave. */
function wavesOf({ canary, waves }: RolloutSpec): readonly Wave[] {
  const shares = [...new Set([...waves, 100])].toSorted((a, b) => a - b)
  const first: readonly Wave[] = canary ? [{ number: 0, percent: canary.percent }] : []
  return [...first, ...shares.map((percent, i) => ({ number: i + 1, percent }))]
}

/** Opens the wave after the present one; the first where none is open yet. The waves may have been changed meanwhile. */
export function openNext(rollout: RolloutStatus, spec: RolloutSpec, units: readonly Unit[]): RolloutStatus {
  const waves = wavesOf(spec)
  const cut = rollout.cut ?? 0
  const next = waves.find(({ number, percent }) => {
    if (rollout.wave === undefined) return true
    return number > 0 && (percent ?? 0) * PERCENT > cut
  }) ?? { number: waves.length, percent: 100 }
  const reach = next.percent === undefined ? 0 : reachOf(rollout, next.percent, units)
  return { ...withoutState(rollout), wave: next.number, waves: waves.at(-1)?.number ?? 1, cut: Math.max(cut, reach) }
}

/** However small the share, it is somebody. */
function reachOf({ run }: RolloutStatus, percent: number, units: readonly Unit[]): number {
  const awake = units.filter(({ settled, suspended }) => settled && !suspended)
  const lowest = awake.reduce((least, { key }) => Math.min(least, positionOf(run, key)), WHOLE - 1)
  return Math.max(percent * PERCENT, lowest + 1)
}

function withoutState({ state: _, since: __, ...rest }: RolloutStatus): RolloutStatus {
  return rest
}

/** How long to wait once a wave is done, in milliseconds. */
export function soakOf({ wave }: RolloutStatus, spec: RolloutSpec): number {
  const soak = wave === 0 ? spec.canary?.soak : spec.soak
  return soak === undefined ? 0 : parseDuration(soak)
}
