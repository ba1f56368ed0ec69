import { isDeepStrictEqual } from 'node:util'
import { ANNOTATIONS, isSet } from '@tenantry/crds/annotations.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { type AppError, asAppError } from '@tenantry/crds/errors.ts'
import { DEFAULT_ROLLOUT, type RolloutSpec, type RolloutStatus } from '@tenantry/crds/schema.ts'
import { writeStatus } from '../../../reconcile/object.ts'
import type { World } from '../../../world.ts'
import { judge } from '../judge.ts'
import { nextRollout, type Step } from './advance.ts'
import { askedBy } from './asked-by.ts'
import { rolloutEvents } from './events.ts'
import { filesToJudge, planOf, type SchemaFile } from './plan.ts'
import { isFinished } from './reach.ts'
import { releasedSoFar } from './released.ts'
import { unitsOf } from './units.ts'

/** A Database with its rollout as it stands now, and what kept it from being moved on. */
export interface RolledOut {
  readonly database: Database
  /** As its status is in the API. */
  readonly stored: Database
  readonly problems: readonly AppError[]
  readonly lookAgainMs?: number
}

/** Counts move with every tenant: they are written down so often at most. */
const COUNTS_EVERY_MS = 2_000

/**
 * Moves a Database's rollout on as far as it can go now. A new state is in its status before anybody acts on it, so that whoever is
 * killed goes on from there.
 */
export async function rollOut(world: World, database: Database, files: readonly SchemaFile[]): Promise<RolledOut> {
  if (!database.spec.schema) return { database, stored: database, problems: [] }
  try {
    const step = await nextStep(world, database, files)
    return await record(world, database, step)
  } catch (error) {
    if (asAppError(error, '').code !== 'InvalidSpec') throw error
    return { database, stored: database, problems: [asAppError(error, 'roll out')] }
  }
}

async function nextStep(world: World, database: Database, files: readonly SchemaFile[]): Promise<Step> {
  const { metadata, spec, status } = database
  const previous = status?.rollout
  const units = unitsOf(world, database)
  const released = releasedSoFar(previous, files, units)
  const scope = { files, target: spec.schema?.target, released }
  const inUse = units.some(({ settled }) => settled)
  const judgements = await judge(world.analyst, database, filesToJudge(scope), inUse)
  const plan = planOf({ ...scope, units, judgements })
  const approved = metadata.annotations?.[ANNOTATIONS.approved]
  const situation = { plan, previous, released, units, approved, uid: metadata.uid }
  return nextRollout({ ...situation, spec: policyOf(database), now: world.clock.now() })
}

function policyOf({ metadata, spec }: Database): RolloutSpec {
  const policy = spec.schema?.rollout ?? DEFAULT_ROLLOUT
  const paused = policy.state === 'Running' && isSet(metadata.annotations, ANNOTATIONS.paused)
  return paused ? { ...policy, state: 'Paused' } : policy
}

async function record(world: World, database: Database, step: Step): Promise<RolledOut> {
  const { rollout, lookAgainMs } = step
  const later = lookAgainMs === undefined ? {} : { lookAgainMs }
  if (hasMoved(database.status?.rollout, rollout)) {
    const moved = await move(world, database, rollout)
    return { database: moved, stored: moved, problems: [], ...later }
  }
  const waitMs = countedLately(world, database, rollout)
  if (waitMs === undefined)
    return { database: withRollout(database, rollout), stored: database, problems: [], ...later }
  return { database, stored: database, problems: [], lookAgainMs: Math.min(waitMs, lookAgainMs ?? waitMs) }
}

async function move(world: World, database: Database, rollout: RolloutStatus): Promise<Database> {
  const before = database.status?.rollout
  const { namespace, name } = database.metadata
  const begins = rollout.run !== before?.run && !isFinished(rollout)
  // Whoever has to wait is to say so: all are compared once.
  if (begins) world.lastResync.delete(`${namespace}/${name}`)
  const by = begins ? await askedBy(world, database) : undefined
  const moved = withRollout(database, { ...rollout, ...(by !== undefined && { by }) })
  await writeStatus(world, world.databases, database, moved.status ?? {})
  for (const event of rolloutEvents(before, rollout)) world.recorder.event(database, event)
  return moved
}

function hasMoved(before: RolloutStatus | undefined, now: RolloutStatus): boolean {
  const place = ({ run, state, wave, cut, approve, target, refused, rollback }: RolloutStatus) =>
    JSON.stringify([run, state, wave, cut, approve, target, refused, rollback])
  // Nobody acts on the first files of a new Database before all of its status is there.
  return before === undefined ? !isFinished(now) : place(before) !== place(now)
}

/** In how many milliseconds other counts may be written; undefined when they may now, or are the same. Once all is done only the interval counts. */
function countedLately(world: World, { metadata, status }: Database, now: RolloutStatus): number | undefined {
  if (isFinished(now) || isDeepStrictEqual(status?.rollout, JSON.parse(JSON.stringify(now)))) return undefined
  const key = `${metadata.namespace}/${metadata.name}`
  const time = world.clock.monotonic()
  const left = (world.lastCounted.get(key) ?? Number.NEGATIVE_INFINITY) + COUNTS_EVERY_MS - time
  if (left > 0) return left
  world.lastCounted.set(key, time)
  return undefined
}

function withRollout(database: Database, rollout: RolloutStatus): Database {
  return { ...database, status: { ...database.status, rollout } }
}
