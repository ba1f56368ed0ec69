import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { DownloadError } from './download.ts'
import { goBuild, goVersion } from './go-build.ts'
import { KUBE_VERSION, type Program } from './programs.ts'
import { elapsed, type Log } from './progress.ts'
import { downloadRelease } from './release.ts'
import { firstLine, isExecutable } from './run.ts'

/** `env` gives the folders and mirrors; `stallMs` bounds how long a download may stand still; `signal` gives up. */
export interface ObtainOptions {
  readonly log: Log
  readonly env?: NodeJS.ProcessEnv
  readonly stallMs?: number
  readonly signal?: AbortSignal | undefined
}

type Settings = ObtainOptions & { readonly env: NodeJS.ProcessEnv; readonly cache: string }

/**
 * Finds each program, or obtains it, and gives its path. The order is `KUBEBUILDER_ASSETS`, the user's cache, the
 * publisher's release, a build with Go. Rejects with one line that says what to install or set.
 */
export async function obtain<K extends string>(
  programs: Readonly<Record<K, Program>>,
  options: ObtainOptions,
): Promise<Record<K, string>> {
  const env = options.env ?? process.env
  const settings = { ...options, env, cache: cacheFolder(env) }
  const entries = Object.entries<Program>(programs)
  const found = await Promise.all(entries.map(async ([key, program]) => [key, await find(program, settings)] as const))
  const paths: Record<string, string | undefined> = Object.fromEntries(found)
  const missing = entries.filter(([key]) => paths[key] === undefined)
  if (missing.length > 0) Object.assign(paths, await fetchAll(missing, settings))
  return paths as Record<K, string>
}

function cacheFolder(env: NodeJS.ProcessEnv): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tenantry', 'kube', KUBE_VERSION)
}

async function find(program: Program, { env, cache, log }: Settings): Promise<string | undefined> {
  const folders = env.KUBEBUILDER_ASSETS ? [env.KUBEBUILDER_ASSETS, cache] : [cache]
  for (const folder of folders) {
    const path = join(folder, program.name)
    const problem = await unfit(program, path)
    if (problem === undefined) return path
    if (problem !== 'missing') log(`Not using ${path}: ${problem}`)
  }
  return undefined
}

/** Why the file at `path` is not the wanted program, or undefined when it is. */
async function unfit(program: Program, path: string): Promise<string | undefined> {
  if (!(await isExecutable(path))) return 'missing'
  const line = await firstLine(path, program.ask)
  if (line === undefined) return 'it does not run on this machine'
  const version = `v${line.split(' ').at(-1)?.replace(/^v/, '').split('+')[0]}`
  return version === program.version ? undefined : `it is ${version} and not ${program.version}`
}

async function fetchAll(missing: readonly [string, Program][], settings: Settings): Promise<Record<string, string>> {
  await mkdir(settings.cache, { recursive: true })
  await sweep(settings.cache)
  const silent = new Set<string>()
  const paths: Record<string, string> = {}
  for (const [key, program] of missing) paths[key] = await fetchOne(program, settings, silent)
  return paths
}

/** Works in a folder of its own inside the cache and renames at the end, so that set-ups at the same time do not meet. */
async function fetchOne(program: Program, settings: Settings, silent: Set<string>): Promise<string> {
  const folder = await mkdtemp(join(settings.cache, `.part-${process.pid}-`))
  try {
    const made = join(folder, program.name)
    if (!(await tryRelease(program, made, settings, silent))) await build(program, made, settings)
    const path = join(settings.cache, program.name)
    await rename(made, path)
    return path
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Downloads a program to `made`. False, after a line that says why, when the release cannot be had. */
async function tryRelease(program: Program, made: string, settings: Settings, silent: Set<string>): Promise<boolean> {
  const { log, env, signal } = settings
  const { origin } = program.release(env)
  if (silent.has(origin)) return false
  const started = performance.now()
  try {
    await downloadRelease(program, made, settings)
    await accept(program, made)
    log(`${program.name} ${program.version}: downloaded in ${elapsed(started)}`)
    return true
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof DownloadError && error.failure !== 'unusable') silent.add(origin)
    log(`${program.name} ${program.version}: no download: ${error instanceof Error ? error.message : String(error)}`)
    return false
  }
}

async function build(program: Program, made: string, settings: Settings): Promise<void> {
  const { log } = settings
  const go = await goVersion(settings.env)
  if (go === undefined) {
    throw new Error(
      `${program.name} ${program.version} could not be downloaded, and Go is not installed to build it: connect to ` +
        'the internet, install Go 1.26 (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder that has it',
    )
  }
  const started = performance.now()
  log(`${program.name} ${program.version}: building with ${go} (this can take minutes, and is done once)`)
  await goBuild(program, made, settings)
  await accept(program, made)
  log(`${program.name} ${program.version}: built in ${elapsed(started)}`)
}

async function accept(program: Program, made: string): Promise<void> {
  await chmod(made, 0o755)
  const problem = await unfit(program, made)
  if (problem !== undefined) throw new Error(`${program.name} was obtained, but ${problem}`)
}

const LEFT_BEHIND_MS = 3_600_000

/** Removes what set-ups that were killed left behind. The age protects one that runs in a container on the same cache. */
async function sweep(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const pid = /^\.part-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || isAlive(Number(pid))) continue
    const path = join(cache, name)
    const changed = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now()
    if (Date.now() - changed > LEFT_BEHIND_MS) await rm(path, { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
