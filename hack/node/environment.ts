import type { Values } from './api.ts'
import { ConfigError, type Container, type EnvFrom, type EnvVar, type KeyRef, type Pod } from './types.ts'

export type Environment = Readonly<Record<string, string>>

/** Reads objects of the Pod's namespace. */
export interface Lookup {
  secret(name: string): Promise<Values>
  configMap(name: string): Promise<Values>
}

/** `base` is what the node sets by itself; `address` is the Pod's. */
export interface EnvironmentOptions {
  readonly pod: Pod
  readonly address: string
  readonly base: Environment
  readonly lookup: Lookup
}

/** A container's environment: `base`, then envFrom, then env, each able to refer to what came before. Throws ConfigError. */
export async function resolveEnvironment(container: Container, options: EnvironmentOptions): Promise<Environment> {
  const found: Record<string, string> = { ...options.base }
  for (const source of container.envFrom ?? []) Object.assign(found, await readAll(source, options.lookup))
  for (const variable of container.env ?? []) {
    const value = await readOne(variable, found, options)
    if (value !== undefined) found[variable.name] = value
  }
  return found
}

/** Replaces `$(NAME)` where NAME is known and `$$` by `$`, as Kubernetes does in values, commands and arguments. */
export function expand(text: string, known: Environment): string {
  return text.replace(/\$\$|\$\(([^)]+)\)/g, (all, name?: string) =>
    name === undefined ? '$' : (own(known, name) ?? all),
  )
}

async function readAll({ prefix = '', secretRef, configMapRef }: EnvFrom, lookup: Lookup): Promise<Environment> {
  const [kind, ref] = secretRef ? (['secret', secretRef] as const) : (['configMap', configMapRef ?? {}] as const)
  const values = await lookup[kind](ref.name ?? '')
  if (values === undefined && !ref.optional) throw notFound(kind, ref.name)
  return Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [prefix + key, value.toString()]))
}

async function readOne(
  { name, value, valueFrom }: EnvVar,
  known: Environment,
  { pod, address, lookup }: EnvironmentOptions,
): Promise<string | undefined> {
  if (valueFrom === undefined) return expand(value ?? '', known)
  if (valueFrom.secretKeyRef) return readKey('secret', valueFrom.secretKeyRef, lookup)
  if (valueFrom.configMapKeyRef) return readKey('configMap', valueFrom.configMapKeyRef, lookup)
  if (valueFrom.fieldRef) return readField(pod, address, valueFrom.fieldRef.fieldPath)
  throw new ConfigError(`env ${name}: this node supports values, Secrets, ConfigMaps and fields only`)
}

async function readKey(kind: keyof Lookup, ref: KeyRef, lookup: Lookup): Promise<string | undefined> {
  const values = await lookup[kind](ref.name ?? '')
  const value = values && own(values, ref.key)
  if (value !== undefined || ref.optional) return value?.toString()
  if (values === undefined) throw notFound(kind, ref.name)
  throw new ConfigError(`couldn't find key ${ref.key} in ${kind.toLowerCase()} "${ref.name}"`)
}

/** The error of a Secret or ConfigMap that is missing, in the kubelet's words. */
export function notFound(kind: keyof Lookup, name: string | undefined): ConfigError {
  return new ConfigError(`${kind.toLowerCase()} "${name}" not found`)
}

/** A field of the downward API: `metadata.name`, `metadata.labels['x']`, `status.podIP` … Throws ConfigError. */
export function readField({ metadata, spec }: Pod, address: string, path: string): string {
  const [, map, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? []
  if (key !== undefined) return own(metadata[map as 'labels' | 'annotations'] ?? {}, key) ?? ''
  const fields: Record<string, string | undefined> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'metadata.labels': listOf(metadata.labels),
    'metadata.annotations': listOf(metadata.annotations),
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.hostIP': '127.0.0.1',
    'status.hostIPs': '127.0.0.1',
    'status.podIP': address,
    'status.podIPs': address,
  }
  const value = own(fields, path)
  if (value === undefined) throw new ConfigError(`field ${path} is not supported by this node`)
  return value
}

/** A property that is the record's own: keys come from users, and `constructor` is one as good as another. */
export function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

function listOf(map: Readonly<Record<string, string>> = {}): string {
  return Object.entries(map)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n')
}
