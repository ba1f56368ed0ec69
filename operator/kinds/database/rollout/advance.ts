import { createHash } from 'node:crypto'
import { approves } from '@tenantry/crds/annotations.ts'
import type { RolloutSpec, RolloutState, RolloutStatus } from '@tenantry/crds/schema.ts'
import { summaryOf } from './message.ts'
import { approvalOf, type Plan } from './plan.ts'
import { isFinished, WHOLE } from './reach.ts'
import { marksOf, releaseOf } from './released.ts'
import { isOverBudget, stragglersOf, tallyOf } from './tally.ts'
import type { Unit } from './unit.ts'
import { openNext, soakOf } from './waves.ts'

/** All that the next step of a rollout depends on. */
export interface Situation {
  readonly spec: RolloutSpec
  readonly plan: Plan
  readonly previous: RolloutStatus | undefined
  /** What rollouts have brought to everybody until now. */
  readonly released: readonly string[]
  readonly units: readonly Unit[]
  readonly now: Date
  /** The value of the annotation. */
  readonly approved: string | undefined
  /** Makes runs of two Databases differ. */
  readonly uid: string
}

/** A rollout as it stands now, and when to look at it again although nothing happens. */
export interface Step {
  readonly rollout: RolloutStatus
  readonly lookAgainMs?: number
}

/**
 * The next state of a rollout, as far as it can go now. Pure: the same situation gives the same step, so that whoever was
 * killed before the step was written down takes it again.
 */
export function nextRollout(situation: Situation): Step {
  const { previous, plan, spec, units, now } = situation
  const same = previous?.digest === plan.digest
  const start = same ? previous : begin(situation)
  const rollout = move(refreshed(start, plan, same), situation)
  const tally = tallyOf(rollout, spec.canary, units)
  const { open: _, ...counts } = tally
  const stragglers = stragglersOf(rollout, spec.canary, units)
  const { message: __, stragglers: ___, ...rest } = rollout
  const told: RolloutStatus = { ...rest, counts, ...(stragglers.length > 0 && { stragglers }) }
  const lookAgainMs = rollout.state === 'Soaking' ? soakLeft(rollout, spec, now) : undefined
  return {
    rollout: { ...told, message: summaryOf(told, plan, spec) },
    ...(lookAgainMs !== undefined && { lookAgainMs }),
  }
}

/** Another set of files, or of their texts, is another rollout. */
function begin(situation: Situation): RolloutStatus {
  const { plan, spec, released, now, uid } = situation
  const startedAt = now.toISOString()
  const run = createHash('sha256').update(`${uid} ${plan.digest} ${startedAt}`).digest('hex').slice(0, 8)
  const from = released.at(-1)?.replace(/:.*$/, '')
  const rollout: RolloutStatus = {
    run,
    ...(from !== undefined && { from }),
    startedAt,
    digest: plan.digest,
    released,
    ...(needsApproval(plan, spec) && { approve: approvalOf(plan) }),
  }
  return isIdle(situation) ? finish(rollout, situation) : openNext(rollout, spec, situation.units)
}

/** What the files say can differ while they are the same: other rules, another target. */
function refreshed(rollout: RolloutStatus, plan: Plan, same: boolean): RolloutStatus {
  const { target: _, refused: __, rollback: before, ...rest } = rollout
  const rollback = (same && plan.refusal === undefined && before) || plan.reverting
  return {
    ...rest,
    ...(plan.target !== undefined && { target: plan.target }),
    ...(plan.refused !== undefined && { refused: plan.refused }),
    ...(rollback && { rollback }),
  }
}

function needsApproval({ approvals }: Plan, { approval }: RolloutSpec): boolean {
  return approval === 'All' || (approval === 'Destructive' && approvals.length > 0)
}

/** Nobody is there to whom anything new would come. */
function isIdle({ plan, released, units }: Situation): boolean {
  if (!units.some(({ settled }) => settled)) return true
  const release = releaseOf(released)
  return !plan.reverting && plan.files.every((file) => release(file) === 'released')
}

function move(rollout: RolloutStatus, situation: Situation): RolloutStatus {
  const { plan, spec, approved, now } = situation
  if (isFinished(rollout)) return { ...rollout, state: endOf(plan) }
  if (rollout.state === 'Aborted') return rollout
  if (spec.state === 'Aborted') return { ...enter(rollout, 'Aborted', now), finishedAt: now.toISOString() }
  if (spec.state === 'Paused') return enter(rollout, 'Paused', now)
  const { approve, ...granted } = rollout
  if (approve !== undefined && needsApproval(plan, spec) && !approves(approved, approve))
    return enter(rollout, 'AwaitingApproval', now)
  if (isOverBudget(spec.maxFailures, tallyOf(granted, spec.canary, situation.units)))
    return enter(granted, 'Halted', now)
  return proceed(granted, situation)
}

/** Goes from wave to wave until one of them has something to do. */
function proceed(from: RolloutStatus, situation: Situation): RolloutStatus {
  const { spec, units, now } = situation
  let rollout = from
  for (;;) {
    const working: RolloutState = rollout.wave === 0 ? 'Canary' : 'Wave'
    if (tallyOf({ ...rollout, state: working }, spec.canary, units).open > 0) return enter(rollout, working, now)
    if ((rollout.cut ?? 0) >= WHOLE) return finish(rollout, situation)
    if (!isSoaked(rollout, spec, now)) return enter(rollout, 'Soaking', now)
    rollout = openNext(rollout, spec, units)
  }
}

/** A wave in which nobody had anything to do was never entered: there is nothing to wait for. */
function isSoaked(rollout: RolloutStatus, spec: RolloutSpec, now: Date): boolean {
  if (rollout.state === undefined || soakOf(rollout, spec) === 0) return true
  return rollout.state === 'Soaking' && soakLeft(rollout, spec, now) <= 0
}

function soakLeft(rollout: RolloutStatus, spec: RolloutSpec, now: Date): number {
  return Date.parse(rollout.since ?? '') + soakOf(rollout, spec) - now.getTime()
}

function enter(rollout: RolloutStatus, state: RolloutState, now: Date): RolloutStatus {
  return rollout.state === state ? rollout : { ...rollout, state, since: now.toISOString() }
}

function finish(rollout: RolloutStatus, { plan, now }: Situation): RolloutStatus {
  const { approve: _, ...rest } = rollout
  const ended = { ...rest, cut: WHOLE, finishedAt: now.toISOString(), released: marksOf(plan.files) }
  return enter(ended, endOf(plan), now)
}

function endOf({ refusal }: Plan): RolloutState {
  return refusal === undefined ? 'Done' : 'Refused'
}
