import { clip, MESSAGE_MAX } from '@tenantry/crds/common.ts'
import type { RolloutSpec, RolloutState, RolloutStatus } from '@tenantry/crds/schema.ts'
import type { Plan } from './plan.ts'

/** One sentence, or a few, on how a rollout stands. What moves from one tenant to the next is in the counts. */
export function summaryOf(rollout: RolloutStatus, plan: Plan, spec: RolloutSpec): string {
  const { state = 'Wave' } = rollout
  const refusal = plan.refusal === undefined ? [] : [plan.refusal]
  return clip([SAY[state](rollout, plan, spec), ...refusal].filter((part) => part !== '').join('; '), MESSAGE_MAX)
}

type Say = (rollout: RolloutStatus, plan: Plan, spec: RolloutSpec) => string

const SAY: Readonly<Record<RolloutState, Say>> = {
  AwaitingApproval: ({ approve }, { approvals }) =>
    `annotate with tenantry.dev/approved=${approve} to let it begin: ${approvals.slice(0, 5).join(', ') || 'all rollouts are approved first'}`,
  Canary: (rollout) => `the canaries are brought to ${goal(rollout)}`,
  Soaking: (rollout, _plan, { canary, soak }) =>
    `${rollout.wave === 0 ? 'the canaries have' : `wave ${rollout.wave} of ${rollout.waves} has`} ${goal(rollout)}; the next wave begins after ${(rollout.wave === 0 ? canary?.soak : soak) ?? '0s'}`,
  Wave: (rollout) => `wave ${rollout.wave} of ${rollout.waves} is brought to ${goal(rollout)}`,
  Paused: () => 'paused: set spec.schema.rollout.state to Running to go on',
  Halted: ({ counts }, _plan, { maxFailures }) =>
    `${tenants(counts?.failed)} failed, and at most ${maxFailures} may: see stragglers; correct the file, or raise maxFailures, to go on`,
  Aborted: (rollout) =>
    `aborted: who has ${goal(rollout)} keeps it; set spec.schema.target to go back, or change the files, with rollout.state Running`,
  Refused: () => '',
  Done: (rollout) => {
    const failed = rollout.counts?.failed ?? 0
    return `${goal(rollout)} is everywhere${failed > 0 ? ` but at ${tenants(failed)} that failed: see stragglers` : ''}`
  },
}

function goal({ target }: RolloutStatus): string {
  return target === undefined ? 'no file' : `version ${target}`
}

function tenants(count = 0): string {
  return count === 1 ? '1 of them' : `${count} of them`
}
