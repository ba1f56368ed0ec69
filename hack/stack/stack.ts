import { mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Connection } from '@tenantry/engines/model.ts'
import type { Assets } from '../assets/assets.ts'
import { claimFolder } from './claim.ts'
import { startClickHouse } from './clickhouse.ts'
import { startKubernetes } from './kubernetes.ts'
import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'
import { loadState } from './state.ts'
import { type Crash, type ProgramSpec, Supervisor } from './supervisor.ts'

export type { Crash, ProgramSpec } from './supervisor.ts'

/** `log` takes one line without a newline. */
export interface StackOptions {
  /** The folder of data, ports, secrets and logs; made when missing. A second start in it re-uses all of them. */
  readonly dir: string
  readonly assets: Assets
  readonly log: (line: string) => void
  /** For tests: begins with an empty folder and gives up durability for speed. */
  readonly fresh?: boolean
  /** Gives up starting: `startStack` ends what it started and rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/** A running control plane and one server of each engine, all on 127.0.0.1. Connections hold administrative credentials. */
export interface Stack {
  /** Path of an administrator's kubeconfig that verifies the API server's certificate. */
  readonly kubeconfig: string
  readonly postgres: Connection
  readonly redis: Connection
  readonly clickhouse: Connection
  /** The folder of the logs: `<name>.log` for each program. */
  readonly logs: string
  /** Runs a further program under the stack's care: logged, watched, and ended before the control plane. */
  run(program: ProgramSpec, ready: () => Promise<unknown>, timeoutMs?: number): Promise<void>
  onCrash(listener: (crash: Crash) => void): void
  /** Ends every program: dependants first, the API server before etcd. */
  stop(): Promise<void>
}

/**
 * Starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler, Postgres, Redis and ClickHouse, and resolves when
 * each answers. Rejects, with nothing left running, when one does not (its log's tail is in the message) or when another
 * process runs a stack in the folder. All programs end when this process does, even when it is killed.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const dir = resolve(options.dir)
  mkdirSync(dir, { recursive: true })
  const claim = await claimFolder(dir)
  const fresh = options.fresh ?? false
  if (fresh) clear(dir)
  const logs = join(dir, 'logs')
  const supervisor = new Supervisor(logs, claim, options.signal)
  try {
    const state = await loadState(dir)
    const common = { dir, assets: options.assets, state, fresh }
    const timed = <T>(title: string, started: Promise<T>) => logged(title, started, options.log)
    const [kubeconfig, postgres, redis, clickhouse] = await allOrFirstError([
      timed('Kubernetes', startKubernetes(supervisor, common)),
      timed('Postgres', startPostgres(supervisor, common)),
      timed('Redis', startRedis(supervisor, common)),
      timed('ClickHouse', startClickHouse(supervisor, common)),
    ])
    return {
      ...{ kubeconfig, postgres, redis, clickhouse, logs },
      run: async (program, ready, timeoutMs) => {
        supervisor.start(program)
        await supervisor.ready(program.name, ready, timeoutMs)
      },
      onCrash: (listener) => supervisor.onCrash(listener),
      stop: () => supervisor.close(),
    }
  } catch (error) {
    await supervisor.close()
    throw error
  }
}

/** Unlike Promise.all, waits for the others before it rejects: none may start a program after everything was stopped. */
async function allOrFirstError<T extends readonly unknown[]>(started: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(started)
  return (await Promise.all(started)) as unknown as T
}

async function logged<T>(title: string, started: Promise<T>, log: (line: string) => void): Promise<T> {
  const begin = performance.now()
  const result = await started
  log(`${title} is ready after ${((performance.now() - begin) / 1000).toFixed(1)} s`)
  return result
}

function clear(dir: string): void {
  for (const name of ['etcd', 'kubernetes', 'postgres', 'redis', 'clickhouse', 'logs', 'state.json', 'kubeconfig']) {
    rmSync(join(dir, name), { recursive: true, force: true })
  }
}
