import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TokenOptions, Values } from './api.ts'
import { type Lookup, notFound, own, readField } from './environment.ts'
import {
  ConfigError,
  type Container,
  type FileSource,
  type KeyToPath,
  type NameRef,
  type Pod,
  type Volume,
} from './types.ts'

/** What the files of volumes are made from. */
export interface VolumeOptions {
  readonly pod: Pod
  readonly address: string
  readonly lookup: Lookup
  readonly token: (options: TokenOptions) => Promise<string>
}

type Files = Record<string, Buffer | string>

/** Makes every volume of a Pod a directory `<folder>/<name>`. Throws ConfigError. Files are written once, not kept up to date. */
export async function makeVolumes(folder: string, options: VolumeOptions): Promise<void> {
  for (const volume of options.pod.spec.volumes ?? []) await makeVolume(join(folder, volume.name), volume, options)
}

async function makeVolume(path: string, volume: Volume, options: VolumeOptions): Promise<void> {
  if (volume.hostPath) {
    await rm(path, { force: true })
    return symlink(volume.hostPath.path, path)
  }
  await mkdir(path, { recursive: true })
  if (volume.emptyDir) return
  for (const source of sourcesOf(volume)) {
    for (const [name, content] of Object.entries(await filesOf(source, volume.name, options))) {
      await mkdir(dirname(join(path, name)), { recursive: true })
      await writeFile(join(path, name), content, { mode: 0o600 })
    }
  }
}

function sourcesOf({ projected, secret, configMap, downwardAPI }: Volume): readonly FileSource[] {
  if (projected) return projected.sources ?? []
  if (secret) return [{ secret: { ...secret, name: secret.secretName ?? '' } }]
  if (configMap) return [{ configMap }]
  return [downwardAPI ? { downwardAPI } : {}]
}

async function filesOf(source: FileSource, volume: string, options: VolumeOptions): Promise<Files> {
  if (source.secret) return pick('secret', source.secret, await options.lookup.secret(source.secret.name ?? ''))
  if (source.configMap) {
    return pick('configMap', source.configMap, await options.lookup.configMap(source.configMap.name ?? ''))
  }
  if (source.serviceAccountToken) {
    const { path, ...wanted } = source.serviceAccountToken
    return { [path]: await options.token(wanted) }
  }
  if (!source.downwardAPI) {
    const kinds = 'emptyDir, hostPath, secret, configMap, downwardAPI and projected'
    throw new ConfigError(`volume ${volume}: this node supports ${kinds} only`)
  }
  const { pod, address } = options
  const items = source.downwardAPI.items ?? []
  return Object.fromEntries(
    items.map(({ path, fieldRef }) => [path, readField(pod, address, fieldRef?.fieldPath ?? '(resourceFieldRef)')]),
  )
}

function pick(kind: keyof Lookup, ref: NameRef & { readonly items?: readonly KeyToPath[] }, values: Values): Files {
  if (values === undefined) {
    if (ref.optional) return {}
    throw notFound(kind, ref.name)
  }
  if (ref.items === undefined) return { ...values }
  const files: Files = {}
  for (const { key, path } of ref.items) {
    const value = own(values, key)
    if (value !== undefined) files[path] = value
    else if (!ref.optional) throw new ConfigError(`couldn't find key ${key} in ${kind.toLowerCase()} "${ref.name}"`)
  }
  return files
}

/** Makes `root` a container's view of its volumes: `<root><mountPath>` is a link to each. */
export async function makeMounts(root: string, volumes: string, { volumeMounts = [] }: Container): Promise<void> {
  await mkdir(root, { recursive: true })
  for (const { name, mountPath, subPath = '' } of volumeMounts) {
    const link = join(root, mountPath)
    await mkdir(dirname(link), { recursive: true })
    await rm(link, { recursive: true, force: true })
    await symlink(join(volumes, name, subPath), link)
  }
}

/**
 * Turns the paths under a container's mounts into those under its root, wherever one stands at the beginning of `text` or
 * after one of `= : ,` or a space: a process of the host has no file system of its own in which they would exist.
 */
export function mapPaths(text: string, root: string, { volumeMounts = [] }: Container): string {
  const mounted = (path: string): boolean =>
    volumeMounts.some(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath.replace(/\/$/, '')}/`))
  return text.replace(/(^|[=:,\s])(\/[^=:,\s]+)/g, (all, before: string, path: string) =>
    mounted(path) ? `${before}${root}${path}` : all,
  )
}
