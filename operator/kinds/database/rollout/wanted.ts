import type { Database } from '@tenantry/crds/database.ts'
import type { RolloutStatus, SchemaSpec } from '@tenantry/crds/schema.ts'
import type { MigrationFile, Run } from '@tenantry/engines/model.ts'
import { compareVersions } from '@tenantry/engines/versions.ts'
import { isBefore, normalized, type SchemaFile, upTo } from './plan.ts'
import { isReached } from './reach.ts'
import { digestOf, releaseOf } from './released.ts'
import type { Unit } from './unit.ts'

/** Whether the rollout has come to a unit, or passes it by while it is suspended. */
export type Turn = 'reached' | 'waiting' | 'skipped'

/** Which SQL files a unit is to have now, and which of those it may have are to be undone. */
export interface Wanted {
  readonly files: readonly MigrationFile[]
  readonly reverted: readonly MigrationFile[]
  /** Absent where there is no rollout, or one that is not about the files as they are now: nothing new is known of the unit. */
  readonly turn?: Turn
  /** Where the rollout leads. */
  readonly target?: string
  readonly digest?: string
  readonly run?: Run
  /** One of these files failed for it before. */
  readonly failed?: boolean
}

/** A rollout together with the files as they are now. Made once for all units. */
export interface FilesView {
  readonly rollout: RolloutStatus
  readonly canary: NonNullable<SchemaSpec['rollout']>['canary']
  /** Everything that the rollout brings; undefined while the files are others than it is about. */
  readonly brought: readonly SchemaFile[] | undefined
  /** What every tenant has: as far as no text of it was changed. */
  readonly base: readonly SchemaFile[]
  readonly reverted: readonly SchemaFile[]
}

const NO_FILES: Wanted = { files: [], reverted: [] }

/** Undefined while there is no rollout. */
export function filesView({ spec, status }: Database, files: readonly SchemaFile[]): FilesView | undefined {
  const rollout = status?.rollout
  if (!rollout || !spec.schema) return undefined
  const release = releaseOf(rollout.released ?? [])
  const target = normalized(spec.schema.target)
  const upToTarget = files.filter(
    (file) =>
      rollout.target !== undefined &&
      compareVersions(file.version, rollout.target) <= 0 &&
      (release(file) === 'released' || isBefore(file, rollout.refused)),
  )
  const current = digestOf(upToTarget) === rollout.digest
  const changed = files.findIndex((file) => release(file) === 'changed')
  const intact = changed < 0 ? files : files.slice(0, changed)
  const above = target === undefined || !current || !rollout.rollback ? [] : files.slice(upTo(files, target).length)
  return {
    rollout,
    canary: spec.schema.rollout?.canary,
    brought: current ? upToTarget : undefined,
    base: intact.filter((file) => release(file) === 'released'),
    reverted: above.filter(({ down }) => down),
  }
}

/** Which files a unit is to have now. `braked`: nobody new may begin. Pure. */
export function wantedFiles(view: FilesView | undefined, unit: Unit, braked = false): Wanted {
  if (!view) return NO_FILES
  const { rollout, brought, base, reverted } = view
  const turn = turnOf(view, unit, braked)
  const about = aboutOf(rollout)
  if (turn !== 'reached' || !brought)
    return { ...about, files: keptBy(unit, base, turn), reverted: [], ...(brought && { turn }) }
  const failed = unit.state === 'Failed' && unit.digest === rollout.digest
  return { ...about, ...runOf(rollout, unit), files: brought, reverted, turn, ...(failed && { failed }) }
}

function aboutOf({ target, digest }: RolloutStatus): Pick<Wanted, 'target' | 'digest'> {
  return { ...(target !== undefined && { target }), ...(digest !== undefined && { digest }) }
}

/** Whoever is made gets its files for its own sake. */
function runOf({ run, by = '' }: RolloutStatus, { settled }: Unit): Pick<Wanted, 'run'> {
  return settled && run !== undefined ? { run: { id: run, by } } : {}
}

function turnOf({ rollout, canary, brought }: FilesView, unit: Unit, braked: boolean): Turn {
  const has = unit.digest === rollout.digest && (unit.state === 'AtTarget' || unit.state === 'Failed')
  if (brought && has && !(unit.suspended && unit.state === 'Failed')) return 'reached'
  if (unit.suspended && unit.version !== undefined && unit.version !== rollout.target) return 'skipped'
  return brought && !braked && isReached(rollout, canary, unit) ? 'reached' : 'waiting'
}

/** Who is asleep keeps what it has. */
function keptBy({ version }: Unit, base: readonly SchemaFile[], turn: Turn): readonly SchemaFile[] {
  return turn === 'skipped' ? upTo(base, version) : base
}
