import { arch, platform, release } from 'node:os'
import type { KubeClient } from '../../operator/kube/client.ts'
import { LEASES } from '../../operator/kube/types.ts'
import { NODES } from './types.ts'

/** What the scheduler may count on. Quantities of Kubernetes; nothing here enforces them. */
export type Capacity = Readonly<Record<'cpu' | 'memory' | 'pods' | 'ephemeral-storage', string>>

const HEARTBEAT_MS = 10_000
const STATUS_EVERY = 6
const LEASE_SECONDS = 40

/** Makes or renews the Node object, ready for Pods. */
export async function registerNode(client: KubeClient, name: string, capacity: Capacity): Promise<void> {
  const architecture = arch() === 'x64' ? 'amd64' : arch()
  const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': platform(), 'kubernetes.io/arch': architecture }
  await client.apply(NODES, { metadata: { name, labels } }, { force: true })
  const status = {
    capacity,
    allocatable: capacity,
    addresses: [
      { type: 'InternalIP', address: '127.0.0.1' },
      { type: 'Hostname', address: name },
    ],
    conditions: [
      condition('Ready', 'True', 'ProcessNodeReady', 'Pods run as local processes'),
      condition('MemoryPressure', 'False', 'NotMeasured', 'this node does not measure it'),
      condition('DiskPressure', 'False', 'NotMeasured', 'this node does not measure it'),
      condition('PIDPressure', 'False', 'NotMeasured', 'this node does not measure it'),
    ],
    nodeInfo: nodeInfo(architecture),
  }
  await client.apply(NODES, { metadata: { name }, ...{ status } }, { force: true, subresource: 'status' })
}

function condition(type: string, status: string, reason: string, message: string) {
  return { type, status, reason, message }
}

function nodeInfo(architecture: string) {
  const none = { machineID: '', systemUUID: '', bootID: '', kubeProxyVersion: '' }
  const versions = { containerRuntimeVersion: `process://${process.version}`, kubeletVersion: 'v1.36.3' }
  return {
    ...none,
    ...versions,
    kernelVersion: release(),
    osImage: platform(),
    operatingSystem: platform(),
    architecture,
  }
}

/**
 * Keeps the Node alive in the eyes of the node controller: a lease every ten seconds, and once a minute the status, which
 * that controller overwrites when the machine was asleep. Returns the end of it.
 */
export function startHeartbeat(
  client: KubeClient,
  name: string,
  { capacity, onError }: { capacity: Capacity; onError: (error: unknown) => void },
): () => void {
  let beats = 0
  const beat = async (): Promise<void> => {
    await renewLease(client, name)
    beats += 1
    if (beats % STATUS_EVERY === 0) await registerNode(client, name, capacity)
  }
  const timer = setInterval(() => void beat().catch(onError), HEARTBEAT_MS)
  return () => clearInterval(timer)
}

/** Renews the node's lease once. */
export async function renewLease(client: KubeClient, name: string): Promise<void> {
  const renewTime = new Date().toISOString().replace('Z', '000Z')
  const spec = { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime }
  await client.apply(LEASES, { metadata: { namespace: 'kube-node-lease', name }, spec }, { force: true })
}
