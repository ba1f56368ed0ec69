import { delimiter, join } from 'node:path'
import { elapsed, type Log, startProgress } from './progress.ts'
import { firstLine, isExecutable, run } from './run.ts'

interface RedisOptions {
  readonly log: Log
  readonly env?: NodeJS.ProcessEnv
}

const OLDEST = 7
const WANTED = 'redis-server 7 or newer'

/** The commands that install Redis, by the package manager that is found on PATH. Homebrew refuses to run as root. */
const MANAGERS = [
  { name: 'apt-get', root: true, commands: [['update'], ['install', '-y', '--no-install-recommends', 'redis-server']] },
  { name: 'dnf', root: true, commands: [['install', '-y', 'redis']] },
  { name: 'apk', root: true, commands: [['add', '--no-cache', 'redis']] },
  { name: 'brew', root: false, commands: [['install', 'redis']] },
] as const

/**
 * The path of a redis-server: `TENANTRY_REDIS_SERVER`, else PATH, else what the system's package manager installs (as
 * root, or where sudo asks for no password). Rejects with one line that says what to install or set.
 */
export async function ensureRedis({ log, env = process.env }: RedisOptions): Promise<string> {
  const named = env.TENANTRY_REDIS_SERVER
  if (named) return checkNamed(named)
  const present = await onPath('redis-server', env)
  if (present !== undefined && (await major(present)) >= OLDEST) return present
  const manager = await findManager(env)
  if (manager === undefined) throw new Error(await advice(present))
  await install(manager, { log, env })
  const installed = await onPath('redis-server', env)
  if (installed !== undefined && (await major(installed)) >= OLDEST) return installed
  throw new Error(`${manager.path} installed no ${WANTED}: ${await advice(installed)}`)
}

async function checkNamed(path: string): Promise<string> {
  if ((await major(path)) >= OLDEST) return path
  throw new Error(`TENANTRY_REDIS_SERVER is ${path}, which is no ${WANTED}: set it to one, or unset it`)
}

async function advice(present: string | undefined): Promise<string> {
  const found = present === undefined ? 'none is on PATH' : `${present} is older (${await firstLine(present, ['-v'])})`
  return `Tenantry's embedded stack needs ${WANTED}, and ${found}: install one, or set TENANTRY_REDIS_SERVER to its path`
}

/** The major version, or 0 when the program does not run or is not Redis: "Redis server v=7.0.15 sha=…". */
async function major(path: string): Promise<number> {
  const line = await firstLine(path, ['--version'])
  return Number(/ v=(\d+)\./.exec(line ?? '')?.[1] ?? 0)
}

async function findManager(env: NodeJS.ProcessEnv) {
  for (const { name, root, commands } of MANAGERS) {
    const path = await onPath(name, env)
    if (path === undefined) continue
    const prefix = root ? await elevation(env) : []
    if (prefix !== undefined) return { path, prefix, commands }
  }
  return undefined
}

/** What goes before a command to run it as root, or undefined when that would need a password. */
async function elevation(env: NodeJS.ProcessEnv): Promise<readonly string[] | undefined> {
  if (process.getuid?.() === 0) return []
  const sudo = await onPath('sudo', env)
  if (sudo === undefined) return undefined
  return (await run(sudo, ['-n', 'true'], { env })).code === 0 ? [sudo, '-n'] : undefined
}

async function install(manager: NonNullable<Awaited<ReturnType<typeof findManager>>>, { log, env }: RedisOptions) {
  for (const command of manager.commands) {
    const started = performance.now()
    const [program = '', ...parameters] = [...manager.prefix, manager.path, ...command]
    log(`redis-server: ${[program, ...parameters].join(' ')}`)
    using _ = startProgress(() => `redis-server: ${command[0]}, ${elapsed(started)}`, log)
    const { code, output } = await run(program, parameters, { env: { ...env, DEBIAN_FRONTEND: 'noninteractive' } })
    if (code !== 0)
      throw new Error(`${manager.path} ${command.join(' ')} failed: ${output.at(-1)}. ${await advice(undefined)}`)
  }
}

async function onPath(name: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name)
    if (await isExecutable(path)) return path
  }
  return undefined
}
