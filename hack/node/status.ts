import type { Condition, ContainerStatus, Pod, PodStatus, RestartPolicy } from './types.ts'

/** What a Pod is found to be. `ending`: its containers are being stopped and none is restarted. */
export interface PodFacts {
  readonly pod: Pod
  readonly address: string
  readonly init: readonly ContainerStatus[]
  readonly main: readonly ContainerStatus[]
  readonly ending: boolean
  /** RFC 3339, whole seconds. */
  readonly now: string
}

/** The status of a Pod as a kubelet reports it. Conditions of others are kept, times only change with what they time. */
export function podStatus(facts: PodFacts): PodStatus & Record<string, unknown> {
  const { pod, address, init, main, now } = facts
  return {
    phase: phaseOf(facts),
    conditions: mergeConditions(pod.status?.conditions ?? [], ownConditions(facts), now),
    hostIP: '127.0.0.1',
    hostIPs: [{ ip: '127.0.0.1' }],
    podIP: address,
    podIPs: [{ ip: address }],
    startTime: pod.status?.startTime ?? now,
    containerStatuses: main,
    ...(init.length > 0 && { initContainerStatuses: init }),
  }
}

function phaseOf({ pod, init, main, ending }: PodFacts): string {
  const policy: RestartPolicy = pod.spec.restartPolicy ?? 'Always'
  if (!ending && init.some((status) => hasEnded(status, policy) && !succeeded(status))) return 'Failed'
  if (main.every(isUntouched)) return ending ? 'Failed' : 'Pending'
  if (!main.every((status) => hasEnded(status, ending ? 'Never' : policy))) return 'Running'
  return main.every(succeeded) ? 'Succeeded' : 'Failed'
}

/** Neither running nor ever run. */
function isUntouched({ state, lastState }: ContainerStatus): boolean {
  return state.waiting !== undefined && lastState.terminated === undefined
}

/** Ended, and not to be started again. */
function hasEnded({ state }: ContainerStatus, policy: RestartPolicy): boolean {
  if (state.terminated === undefined || policy === 'Always') return false
  return policy === 'Never' || state.terminated.exitCode === 0
}

function succeeded({ state }: ContainerStatus): boolean {
  return state.terminated?.exitCode === 0
}

function ownConditions({ init, main }: PodFacts): readonly Condition[] {
  const initialized = init.every(succeeded)
  const unready = main.filter(({ ready }) => !ready).map(({ name }) => name)
  const ready = condition('ContainersReady', unready.length === 0, {
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${unready.join(' ')}]`,
  })
  return [
    condition('PodReadyToStartContainers', true),
    condition('Initialized', initialized, { reason: 'ContainersNotInitialized' }),
    ready,
    { ...ready, type: 'Ready' },
  ]
}

function condition(type: string, met: boolean, unmet: Partial<Condition> = {}): Condition {
  return met ? { type, status: 'True' } : { ...unmet, type, status: 'False' }
}

function mergeConditions(found: readonly Condition[], own: readonly Condition[], now: string): readonly Condition[] {
  const others = found.filter(({ type }) => !own.some((mine) => mine.type === type))
  const timed = own.map((mine) => {
    const before = found.find(({ type }) => type === mine.type)
    const lastTransitionTime = before?.status === mine.status ? (before.lastTransitionTime ?? now) : now
    return { ...mine, lastTransitionTime }
  })
  return [...others, ...timed]
}
