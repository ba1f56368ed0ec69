/** Rollouts of made-up files over made-up tenants, for tests of what is pure. */
import { DEFAULT_ROLLOUT, type RolloutSpec, type RolloutStatus } from '@tenantry/crds/schema.ts'
import { nextRollout, type Step } from '../advance.ts'
import { type Judgement, planOf, type SchemaFile } from '../plan.ts'
import { isReached } from '../reach.ts'
import { releasedSoFar } from '../released.ts'
import type { Unit } from '../unit.ts'

export function fileOf(version: string, more: Partial<SchemaFile> = {}): SchemaFile {
  const checksum = version.padStart(4, '0').repeat(16)
  return { version, name: `${version}_x.sql`, checksum, body: `select ${version}`, ...more }
}

export function undoable(version: string): SchemaFile {
  return fileOf(version, { down: { name: `${version}_x.down.sql`, checksum: 'd', body: '', guards: [] } })
}

export function unitOf(key: string, more: Partial<Unit> = {}): Unit {
  return { key, labels: {}, settled: true, suspended: false, version: '1', ...more }
}

export interface Fleet {
  files: readonly SchemaFile[]
  units: readonly Unit[]
  spec?: Partial<RolloutSpec>
  target?: string
  judgements?: ReadonlyMap<string, Judgement>
  approved?: string
  previous?: RolloutStatus
  now?: number
}

export function specOf(fleet: Fleet): RolloutSpec {
  return { ...DEFAULT_ROLLOUT, ...fleet.spec }
}

/** What the operator does with a Database's rollout at each look. */
export function step(fleet: Fleet): Step {
  const { files, units, previous, target, now = 0 } = fleet
  const released = releasedSoFar(previous, files, units)
  const plan = planOf({ files, target, released, units, judgements: fleet.judgements ?? new Map() })
  const situation = { spec: specOf(fleet), plan, previous, released, units, approved: fleet.approved, uid: 'u' }
  return nextRollout({ ...situation, now: new Date(now) })
}

/** The units after each that was reached, and passes, has what the rollout brings. */
export function bring(fleet: Fleet, rollout: RolloutStatus, passes: (key: string) => boolean = () => true): Unit[] {
  return fleet.units.map((unit) => {
    if (unit.suspended || !isReached(rollout, specOf(fleet).canary, unit)) return unit
    const { digest, target } = rollout
    if (passes(unit.key)) return { ...unit, state: 'AtTarget', version: target, digest }
    return { ...unit, state: 'Failed', digest, message: 'it broke' }
  })
}
