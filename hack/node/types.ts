/** The parts of the Kubernetes API that a node reads and writes. */
import type { KubeObject, ObjectMeta, ResourceType } from '../../operator/kube/types.ts'

export interface KeyRef {
  readonly name?: string
  readonly key: string
  readonly optional?: boolean
}

export interface NameRef {
  readonly name?: string
  readonly optional?: boolean
}

export interface EnvVar {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: {
    readonly secretKeyRef?: KeyRef
    readonly configMapKeyRef?: KeyRef
    readonly fieldRef?: { readonly fieldPath: string }
  }
}

export interface EnvFrom {
  readonly prefix?: string
  readonly secretRef?: NameRef
  readonly configMapRef?: NameRef
}

/** What a probe or a hook does: exactly one of the fields. Ports are numbers or names of the container's ports. */
export interface Handler {
  readonly httpGet?: {
    readonly path?: string
    readonly port: number | string
    readonly host?: string
    readonly scheme?: string
    readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[]
  }
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string }
  readonly exec?: { readonly command?: readonly string[] }
  readonly sleep?: { readonly seconds: number }
}

/** Times are in seconds. The API server fills in every default but that of `initialDelaySeconds`. */
export interface Probe extends Handler {
  readonly initialDelaySeconds?: number
  readonly periodSeconds?: number
  readonly timeoutSeconds?: number
  readonly successThreshold?: number
  readonly failureThreshold?: number
}

export interface VolumeMount {
  readonly name: string
  readonly mountPath: string
  readonly subPath?: string
}

export interface Container {
  readonly name: string
  readonly image?: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly workingDir?: string
  readonly env?: readonly EnvVar[]
  readonly envFrom?: readonly EnvFrom[]
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[]
  readonly volumeMounts?: readonly VolumeMount[]
  readonly startupProbe?: Probe
  readonly readinessProbe?: Probe
  readonly livenessProbe?: Probe
  readonly lifecycle?: { readonly preStop?: Handler }
  /** `Always` on an init container makes it a sidecar. */
  readonly restartPolicy?: string
}

export interface KeyToPath {
  readonly key: string
  readonly path: string
}

export interface DownwardFile {
  readonly path: string
  readonly fieldRef?: { readonly fieldPath: string }
}

/** One source of files, as `projected` volumes list them. */
export interface FileSource {
  readonly secret?: NameRef & { readonly items?: readonly KeyToPath[] }
  readonly configMap?: NameRef & { readonly items?: readonly KeyToPath[] }
  readonly downwardAPI?: { readonly items?: readonly DownwardFile[] }
  readonly serviceAccountToken?: {
    readonly path: string
    readonly audience?: string
    readonly expirationSeconds?: number
  }
}

export interface Volume {
  readonly name: string
  readonly emptyDir?: object
  readonly hostPath?: { readonly path: string }
  readonly secret?: {
    readonly secretName?: string
    readonly optional?: boolean
    readonly items?: readonly KeyToPath[]
  }
  readonly configMap?: FileSource['configMap']
  readonly downwardAPI?: FileSource['downwardAPI']
  readonly projected?: { readonly sources?: readonly FileSource[] }
}

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never'

export interface ContainerState {
  readonly waiting?: { readonly reason: string; readonly message?: string }
  readonly running?: { readonly startedAt: string }
  readonly terminated?: {
    readonly exitCode: number
    readonly reason: string
    readonly message?: string
    readonly startedAt: string
    readonly finishedAt: string
    readonly containerID: string
  }
}

export interface ContainerStatus {
  readonly name: string
  readonly image: string
  readonly imageID: string
  readonly containerID?: string
  readonly ready: boolean
  readonly started: boolean
  readonly restartCount: number
  readonly state: ContainerState
  readonly lastState: ContainerState
}

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string | null
}

export interface PodStatus {
  readonly phase?: string
  readonly conditions?: readonly Condition[]
  readonly startTime?: string
  readonly containerStatuses?: readonly ContainerStatus[]
  readonly initContainerStatuses?: readonly ContainerStatus[]
}

export interface Pod extends KubeObject {
  readonly metadata: ObjectMeta & { readonly deletionGracePeriodSeconds?: number }
  readonly spec: {
    readonly nodeName?: string
    readonly serviceAccountName?: string
    readonly terminationGracePeriodSeconds?: number
    readonly restartPolicy?: RestartPolicy
    readonly containers: readonly Container[]
    readonly initContainers?: readonly Container[]
    readonly volumes?: readonly Volume[]
  }
  readonly status?: PodStatus
}

export const PODS: ResourceType<Pod> = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true }
export const NODES: ResourceType = { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false }

/**
 * A Pod asks for something that is not there or not supported. It waits with the reason CreateContainerConfigError and
 * this message, and is tried again.
 */
export class ConfigError extends Error {}
