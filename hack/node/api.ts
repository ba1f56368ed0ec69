import { KubeConfig } from '@kubernetes/client-node'
import { systemClock } from '../../operator/clock.ts'
import { createClient, type KubeClient } from '../../operator/kube/client.ts'
import { createTransport } from '../../operator/kube/transport.ts'
import { CONFIG_MAPS, SECRETS } from '../../operator/kube/types.ts'
import type { Pod } from './types.ts'

/** Decoded values by key; undefined when there is no such object. */
export type Values = Readonly<Record<string, Buffer>> | undefined

/** What a node asks of the API server beyond what an operator does. */
export interface NodeApi {
  readonly client: KubeClient
  /** The server's address and its certificate authority in PEM, for the kubeconfigs of Pods. */
  readonly server: URL
  readonly authority: string
  secret(namespace: string, name: string): Promise<Values>
  configMap(namespace: string, name: string): Promise<Values>
  /** A token of the Pod's service account, bound to the Pod: it dies with it. */
  token(pod: Pod, options: TokenOptions): Promise<string>
  /** Takes the object of a Pod away whose processes have ended. */
  deleteNow(pod: Pod): Promise<void>
  close(): Promise<void>
}

export interface TokenOptions {
  readonly audience?: string | undefined
  readonly expirationSeconds?: number | undefined
}

/** Connects with the current context of a kubeconfig file. */
export function connect(kubeconfig: string): NodeApi {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(kubeconfig)
  const cluster = kubeConfig.getCurrentCluster()
  const client = createClient({ kubeConfig })
  const transport = createTransport(kubeConfig, systemClock)
  const send = async (method: 'POST' | 'DELETE', path: string, body: object): Promise<unknown> => {
    const call = { method, path, contentType: 'application/json', body: JSON.stringify(body) }
    const answer = await transport.send(call)
    const result = await answer.body.json()
    if (answer.statusCode < 300 || (method === 'DELETE' && answer.statusCode === 404)) return result
    throw new Error(`${method} ${path}: the Kubernetes API answered ${answer.statusCode}`)
  }
  return {
    client,
    server: new URL(cluster?.server ?? ''),
    authority: Buffer.from(cluster?.caData ?? '', 'base64').toString(),
    secret: async (namespace, name) => decoded((await client.get(SECRETS, { namespace, name }))?.data),
    configMap: async (namespace, name) => {
      const found = await client.get(CONFIG_MAPS, { namespace, name })
      const texts = Object.entries(found?.data ?? {}).map(([key, text]) => [key, Buffer.from(text)])
      return found && { ...Object.fromEntries(texts), ...decoded(found.binaryData ?? {}) }
    },
    token: async (pod, options) => {
      const answer = await send('POST', tokenPath(pod), tokenRequest(pod, options))
      return (answer as { status: { token: string } }).status.token
    },
    deleteNow: async ({ metadata: { namespace, name, uid } }) => {
      const body = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0, preconditions: { uid } }
      await send('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, body)
    },
    close: async () => {
      await Promise.all([client.close(), transport.close()])
    },
  }
}

function decoded(data: Readonly<Record<string, string>> | undefined): Values {
  if (data === undefined) return undefined
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64')]))
}

function tokenPath({ metadata, spec }: Pod): string {
  return `/api/v1/namespaces/${metadata.namespace}/serviceaccounts/${spec.serviceAccountName ?? 'default'}/token`
}

function tokenRequest({ metadata: { name, uid } }: Pod, { audience, expirationSeconds }: TokenOptions): object {
  const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid }
  const audiences = audience === undefined ? undefined : [audience]
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { boundObjectRef, expirationSeconds, audiences },
  }
}
