import type { Finding } from '@tenantry/crds/conditions.ts'
import type { RolloutStatus } from '@tenantry/crds/schema.ts'
import type { Problem } from '../../../reconcile/findings.ts'

/** What of a rollout keeps its Database from being ready: not that it is under way, nor that somebody paused it. Pure. */
export function rolloutProblems(rollout: RolloutStatus | undefined): readonly Problem[] {
  const { state, refused, message = '' } = rollout ?? {}
  if (state === 'Halted') return [{ code: 'RolloutHalted', message, stalled: true }]
  if (state === 'Refused' || refused !== undefined) return [{ code: 'RolloutRefused', message, stalled: true }]
  return []
}

/** The conditions that say how a rollout stands. `held`: other changes wait for a person, and say so. Pure. */
export function rolloutFindings(rollout: RolloutStatus | undefined, held: boolean): readonly Finding[] {
  if (!rollout?.state) return []
  const { state, message = '' } = rollout
  const done = state === 'Done'
  const findings: Finding[] = [{ type: 'RolledOut', status: done ? 'True' : 'False', reason: state, message }]
  if (state === 'AwaitingApproval' && !held) findings.push({ type: 'Held', status: 'True', reason: state, message })
  return findings
}
