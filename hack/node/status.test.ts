import { describe, expect, it } from 'vitest'
import { podStatus } from './status.ts'
import type { Condition, ContainerState, ContainerStatus, Pod, RestartPolicy } from './types.ts'

const WAITING: ContainerState = { waiting: { reason: 'ContainerCreating' } }
const BACK_OFF: ContainerState = { waiting: { reason: 'CrashLoopBackOff' } }
const RUNNING: ContainerState = { running: { startedAt: '2026-01-01T00:00:00Z' } }
const DONE = ended(0)
const FAILED = ended(2)

interface Case {
  readonly policy?: RestartPolicy
  readonly ending?: boolean
  readonly init?: ContainerState[]
  readonly main: ContainerState[]
  readonly conditions?: readonly Condition[]
}

describe('the phase of a Pod', () => {
  it.each<[string, Case]>([
    ['Pending', { main: [WAITING] }],
    ['Pending', { init: [RUNNING], main: [WAITING] }],
    ['Pending', { init: [FAILED], main: [WAITING] }],
    ['Failed', { policy: 'Never', init: [FAILED], main: [WAITING] }],
    ['Running', { init: [DONE], main: [RUNNING] }],
    ['Running', { main: [RUNNING, WAITING] }],
    ['Running', { main: [DONE] }],
    ['Running', { main: [FAILED] }],
    ['Running', { main: [BACK_OFF] }],
    ['Running', { policy: 'OnFailure', main: [FAILED] }],
    ['Running', { policy: 'Never', main: [DONE, RUNNING] }],
    ['Succeeded', { policy: 'OnFailure', main: [DONE] }],
    ['Succeeded', { policy: 'Never', main: [DONE, DONE] }],
    ['Failed', { policy: 'Never', main: [DONE, FAILED] }],
    ['Succeeded', { ending: true, main: [DONE] }],
    ['Failed', { ending: true, main: [FAILED] }],
    ['Failed', { ending: true, main: [WAITING] }],
  ])('is %s with %j', (phase, facts) => {
    expect(status(facts).phase).toBe(phase)
  })
})

describe('the conditions of a Pod', () => {
  it('keep those of others, and the times of what did not change', () => {
    const scheduled = { type: 'PodScheduled', status: 'True', lastTransitionTime: 't0' } as const
    const ready = { type: 'Ready', status: 'False', lastTransitionTime: 't1' } as const
    const { conditions = [] } = status({ main: [RUNNING], conditions: [scheduled, ready] })
    expect(conditions).toContainEqual(scheduled)
    expect(conditions).toContainEqual({
      type: 'Ready',
      status: 'False',
      lastTransitionTime: 't1',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [c0]',
    })
    expect(conditions).toContainEqual({ type: 'Initialized', status: 'True', lastTransitionTime: 'now' })
  })
})

function status({ policy = 'Always', ending = false, init = [], main, conditions = [] }: Case) {
  const pod: Pod = { metadata: { name: 'p' }, spec: { containers: [], restartPolicy: policy }, status: { conditions } }
  return podStatus({ pod, address: '127.64.0.1', init: statuses(init), main: statuses(main), ending, now: 'now' })
}

function statuses(states: ContainerState[]): ContainerStatus[] {
  return states.map((state, index) => ({
    name: `c${index}`,
    image: '',
    imageID: '',
    ready: false,
    started: false,
    restartCount: 0,
    state,
    lastState: state === BACK_OFF ? FAILED : {},
  }))
}

function ended(exitCode: number): ContainerState {
  const times = { startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:01Z' }
  return { terminated: { exitCode, reason: 'Ended', ...times, containerID: 'process://x' } }
}
