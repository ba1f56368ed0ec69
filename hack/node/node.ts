import { mkdir } from 'node:fs/promises'
import { createInformer } from '../../operator/kube/reflector.ts'
import { silentLog } from '../../operator/telemetry/log.ts'
import { startReaper } from '../stack/reaper.ts'
import { createAddresses } from './address.ts'
import { connect } from './api.ts'
import type { Images } from './image.ts'
import { type PodHost, PodRunner } from './pod.ts'
import { type Capacity, registerNode, renewLease, startHeartbeat } from './register.ts'
import { PODS, type Pod } from './types.ts'

export type { Images, LocalImage } from './image.ts'

/** `kubeconfig` is the path of an administrator's; `dir` holds volumes and logs; `log` takes one line. */
export interface NodeOptions {
  readonly kubeconfig: string
  readonly name: string
  readonly dir: string
  readonly images: Images
  readonly log: (line: string) => void
  readonly capacity?: Capacity
}

/** A node under way. */
export interface ProcessNode {
  /** The folder of the containers' output: `<namespace>_<pod>_<uid>/<container>/<restart>.log`. */
  readonly logs: string
  /** Stops every process, at most ten seconds each, and leaves the objects: a node of the same name takes them up again. */
  stop(): Promise<void>
}

const CAPACITY: Capacity = { cpu: '64', memory: '256Gi', pods: '500', 'ephemeral-storage': '256Gi' }
const STOP_GRACE_SECONDS = 10

/**
 * Starts a stand-in for the kubelet that runs Pods as local processes. The scheduler, Deployments, probes, restarts,
 * Secrets, ConfigMaps and service accounts work as on any node. What does not, because there is no container: images,
 * mounts at their own paths (see launch.ts), limits of CPU and memory, users and capabilities, Services' addresses and
 * names, `kubectl logs` and `exec`; files of Secrets and ConfigMaps are not kept up to date.
 */
export async function startNode(options: NodeOptions): Promise<ProcessNode> {
  const { kubeconfig, name, dir, images, log, capacity = CAPACITY } = options
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const api = connect(kubeconfig)
  await registerNode(api.client, name, capacity)
  await renewLease(api.client, name)
  const onError = (error: unknown): void =>
    log(`node ${name}: ${error instanceof Error ? error.message : String(error)}`)
  const stopHeartbeat = startHeartbeat(api.client, name, { capacity, onError })
  const host: PodHost = { api, addresses: createAddresses(), images, reaper: startReaper(), dir, log }
  const pods = followPods(host, name)
  return {
    logs: `${dir}/logs`,
    stop: async () => {
      stopHeartbeat()
      await pods.stop()
      host.reaper.close()
      await api.close()
    },
  }
}

/** Keeps one runner for each Pod that is bound to the node. */
function followPods(host: PodHost, name: string): { stop(): Promise<void> } {
  const runners = new Map<string, PodRunner>()
  const leaving = new Set<Promise<void>>()
  const informer = createInformer({
    client: host.api.client,
    type: PODS,
    fieldSelector: `spec.nodeName=${name}`,
    log: silentLog,
  })
  const take = (pod: Pod): void => {
    const uid = pod.metadata.uid ?? ''
    const runner = runners.get(uid) ?? new PodRunner(pod, host)
    if (!runners.has(uid)) runner.start()
    runners.set(uid, runner)
    runner.update(pod)
  }
  const leave = (runner: PodRunner, graceSeconds: number): void => {
    const left = runner.abandon(graceSeconds).finally(() => leaving.delete(left))
    leaving.add(left)
  }
  informer.store.onChange(({ type, object }) => {
    if (type !== 'deleted') return take(object)
    const runner = runners.get(object.metadata.uid ?? '')
    runners.delete(object.metadata.uid ?? '')
    if (runner) leave(runner, 0)
  })
  const stopping = new AbortController()
  informer.start(stopping.signal)
  return {
    stop: async () => {
      stopping.abort()
      for (const runner of runners.values()) leave(runner, STOP_GRACE_SECONDS)
      await Promise.all(leaving)
    },
  }
}
