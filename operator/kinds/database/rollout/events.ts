import type { RolloutState, RolloutStatus } from '@tenantry/crds/schema.ts'
import type { EventDetails } from '../../../kube/events.ts'
import { isFinished } from './reach.ts'

const REASONS: Readonly<Partial<Record<RolloutState, string>>> = {
  AwaitingApproval: 'RolloutAwaitsApproval',
  Soaking: 'RolloutSoaks',
  Paused: 'RolloutPaused',
  Halted: 'RolloutHalted',
  Aborted: 'RolloutAborted',
  Refused: 'RolloutRefused',
  Done: 'RolloutDone',
}

const WARNINGS: readonly (RolloutState | undefined)[] = ['AwaitingApproval', 'Halted', 'Refused']

/** What is worth telling of a step. A Database's first files come to nobody: that is no news. Pure. */
export function rolloutEvents(before: RolloutStatus | undefined, now: RolloutStatus): readonly EventDetails[] {
  const isNew = now.run !== before?.run
  if (isNew && now.state === 'Done') return []
  const { message = '' } = now
  const reasons = isNew || now.state !== before?.state ? [REASONS[now.state ?? 'Wave'] ?? ''] : []
  return [
    ...(isNew && !isFinished(now) ? [eventOf(now, 'RolloutStarted', begun(now))] : []),
    ...(isOpened(before, now) ? [eventOf(now, 'WaveStarted', message)] : []),
    ...reasons.filter((reason) => reason !== '').map((reason) => eventOf(now, reason, message)),
  ]
}

/** A wave that goes on after a pause, or is done in part, was opened before. */
function isOpened(before: RolloutStatus | undefined, now: RolloutStatus): boolean {
  if (now.state !== 'Canary' && now.state !== 'Wave') return false
  return now.run !== before?.run || now.wave !== before?.wave || before?.state === 'AwaitingApproval'
}

function begun({ run, from, target }: RolloutStatus): string {
  return `rollout ${run} from ${from ?? 'no file'} to ${target ?? 'no file'} has begun`
}

function eventOf({ state }: RolloutStatus, reason: string, note: string): EventDetails {
  const isWarning = WARNINGS.includes(state) && !reason.endsWith('Started')
  return { type: isWarning ? 'Warning' : 'Normal', reason, action: 'RollOut', note }
}
