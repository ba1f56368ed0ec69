import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { NodeApi } from './api.ts'
import { type Environment, expand, type Lookup, resolveEnvironment } from './environment.ts'
import { findImage, type Images } from './image.ts'
import type { Container, Pod } from './types.ts'
import { makeMounts, makeVolumes, mapPaths } from './volumes.ts'

/** A local process to start. */
export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Environment
  readonly cwd: string
}

/** Where a Pod lives on this machine: `folder` holds its volumes, its containers' roots and its kubeconfig. */
export interface Place {
  readonly pod: Pod
  readonly address: string
  readonly folder: string
  readonly images: Images
  readonly api: NodeApi
}

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
const PRELOAD = pathToFileURL(join(import.meta.dirname, 'pod-address.mjs')).href

/** Makes a Pod's volumes. Throws ConfigError. Can be repeated. */
export function prepareVolumes({ pod, address, folder, api }: Place): Promise<void> {
  const token = (options: Parameters<NodeApi['token']>[1]) => api.token(pod, options)
  return makeVolumes(join(folder, 'volumes'), { pod, address, lookup: lookupOf(pod, api), token })
}

/**
 * Resolves all a container needs to start. It sees its volumes under `TENANTRY_ROOT`, into which the paths in its command,
 * arguments and literal variables are turned; the API server by `KUBECONFIG` with the rights of its service account, if the
 * Pod mounts one; and its Pod's address as `TENANTRY_POD_IP`. Throws ImageError or ConfigError.
 */
export async function prepareLaunch(container: Container, place: Place): Promise<Launch> {
  const { pod, address, folder, api, images } = place
  const image = findImage(images, container.image ?? '')
  const root = join(folder, 'roots', container.name)
  await makeMounts(root, join(folder, 'volumes'), container)
  const base = { ...baseEnvironment(root, place), ...(await accountEnvironment(container, place)), ...image.env }
  const mapped = mapVariables(container, root)
  const env = await resolveEnvironment(mapped, { pod, address, base, lookup: lookupOf(pod, api) })
  const words = [...(container.command ?? image.command), ...(container.args ?? defaultArgs(container, image.args))]
  const [command = '', ...args] = words.map((word) => mapPaths(expand(word, env), root, container))
  const cwd = container.workingDir ? mapPaths(container.workingDir, root, container) : (image.cwd ?? process.cwd())
  return { command, args, env, cwd }
}

/** As in a container runtime: a Pod that sets the command gets none of the image's arguments. */
function defaultArgs(container: Container, args: readonly string[] = []): readonly string[] {
  return container.command ? [] : args
}

function lookupOf({ metadata: { namespace = '' } }: Pod, api: NodeApi): Lookup {
  return {
    secret: (name) => api.secret(namespace, name),
    configMap: (name) => api.configMap(namespace, name),
  }
}

function mapVariables(container: Container, root: string): Container {
  const env = (container.env ?? []).map(({ name, value, ...rest }) => ({
    name,
    ...(value !== undefined && { value: mapPaths(value, root, container) }),
    ...rest,
  }))
  return { ...container, env }
}

function baseEnvironment(root: string, { pod, address, api }: Place): Environment {
  return {
    PATH: process.env.PATH ?? '',
    HOME: root,
    HOSTNAME: pod.metadata.name,
    KUBERNETES_SERVICE_HOST: api.server.hostname,
    KUBERNETES_SERVICE_PORT: api.server.port,
    TENANTRY_ROOT: root,
    TENANTRY_POD_IP: address,
    NODE_OPTIONS: `--import=${PRELOAD}`,
  }
}

/** A kubeconfig in place of the files that in-cluster clients look for under a fixed path, which no process here has. */
async function accountEnvironment(container: Container, { pod, folder, api }: Place): Promise<Environment> {
  const mount = container.volumeMounts?.find(({ mountPath }) => mountPath === ACCOUNT)
  if (mount === undefined) return {}
  const token = await readFile(join(folder, 'volumes', mount.name, 'token'), 'utf8')
  const path = join(folder, 'kubeconfig')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'c', cluster: { server: api.server.origin, 'certificate-authority-data': base64(api.authority) } },
    ],
    users: [{ name: 'u', user: { token } }],
    contexts: [{ name: 'pod', context: { cluster: 'c', user: 'u', namespace: pod.metadata.namespace } }],
    'current-context': 'pod',
  }
  await writeFile(path, JSON.stringify(config), { mode: 0o600 })
  await chmod(path, 0o600)
  return { KUBECONFIG: path }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
