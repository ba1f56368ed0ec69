import { execFile } from 'node:child_process'
import { chownSync, constants, mkdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Connection } from '@tenantry/engines/model.ts'
import { Client } from 'pg'
import type { Assets } from '../assets/assets.ts'
import { readIfThere, writePrivate } from './files.ts'
import type { StackState } from './state.ts'
import type { ProgramSpec, Supervisor } from './supervisor.ts'

const run = promisify(execFile)
const NOBODY = 65_534

interface Options {
  readonly dir: string
  readonly assets: Assets
  readonly state: StackState
  readonly fresh: boolean
}

/** Who runs the server: Postgres refuses root, so root hands it to another user. */
type Runner = (program: string, args: readonly string[]) => Pick<ProgramSpec, 'command' | 'args' | 'uid' | 'gid'>

/** Starts Postgres, with a new data folder where there is none; resolves to the superuser's connection. */
export async function startPostgres(supervisor: Supervisor, options: Options): Promise<Connection> {
  const { assets, state } = options
  const folder = join(options.dir, 'postgres')
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const runner = await chooseRunner(folder, assets.postgresBin)
  await initialise(runner, folder, options)
  supervisor.start({
    name: 'postgres',
    ...runner(join(assets.postgresBin, 'postgres'), serverArguments(join(folder, 'data'), options)),
    env: { LC_ALL: 'C' },
    stopSignal: 'SIGINT',
  })
  const connection = {
    host: '127.0.0.1',
    port: state.ports.postgres,
    username: 'postgres',
    password: state.secrets.postgres,
    database: 'postgres',
    tls: 'off',
  } as const
  await supervisor.ready('postgres', () => ask(connection))
  return connection
}

function serverArguments(data: string, { state, fresh }: Options): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(state.ports.postgres),
    unix_socket_directories: '',
    password_encryption: 'scram-sha-256',
    wal_level: 'logical',
    max_connections: '400',
    max_wal_senders: '20',
    max_replication_slots: '20',
    shared_preload_libraries: 'pg_stat_statements',
    shared_buffers: '128MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(fresh && { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  }
  return ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

/** `initdb` is not atomic: a marker file tells a finished data folder from one whose making was interrupted. */
async function initialise(runner: Runner, folder: string, { assets, state }: Options): Promise<void> {
  const marker = join(folder, 'initialised')
  if (readIfThere(marker) !== undefined) return
  const data = join(folder, 'data')
  rmSync(data, { recursive: true, force: true })
  const passwordFile = join(folder, 'password')
  const locale = process.platform === 'linux' ? 'C.UTF-8' : 'en_US.UTF-8'
  const { command, args, uid, gid } = runner(join(assets.postgresBin, 'initdb'), [
    `--pgdata=${data}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    `--locale=${locale}`,
    '--no-sync',
  ])
  writePrivate(passwordFile, `${state.secrets.postgres}\n`)
  try {
    if (uid !== undefined && gid !== undefined) {
      chownSync(folder, uid, gid)
      chownSync(passwordFile, uid, gid)
    }
    await run(command, args, { env: { PATH: process.env.PATH }, ...(uid !== undefined && { uid, gid }) })
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    throw new Error(`Make the Postgres data folder ${data}: ${said.trim()}`, { cause: error })
  } finally {
    rmSync(passwordFile, { force: true })
  }
  writePrivate(marker, 'The data folder beside this file is complete.\n')
}

async function chooseRunner(folder: string, bin: string): Promise<Runner> {
  if (process.getuid?.() !== 0) return (command, args) => ({ command, args })
  if ([folder, bin].every(isEnterableByAll)) {
    return (command, args) => ({ command, args, uid: NOBODY, gid: NOBODY })
  }
  const unshare = ['--user', '--map-user=1000']
  const works = await run('unshare', [...unshare, 'true']).then(
    () => true,
    () => false,
  )
  if (works) return (command, args) => ({ command: 'unshare', args: [...unshare, command, ...args] })
  throw new Error(
    `Start Postgres in ${folder}: it refuses to run as root, user nobody may not enter that folder or ${bin}, and this ` +
      'system allows no user namespaces. Run as another user, or make every folder above both enterable by all.',
  )
}

function isEnterableByAll(path: string): boolean {
  const parent = dirname(resolve(path))
  const enterable = (statSync(path).mode & constants.S_IXOTH) !== 0
  return enterable && (parent === path || isEnterableByAll(parent))
}

async function ask(connection: Connection): Promise<void> {
  const { host, port, username: user, password, database } = connection
  const client = new Client({ host, port, user, password, database, connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query('SELECT 1')
  } finally {
    await client.end()
  }
}
