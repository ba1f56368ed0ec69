import { mkdirSync } from 'node:fs'
import { Redis } from 'ioredis'
import { ensureAssets } from '../../hack/assets/assets.ts'
import { claimFolder } from '../../hack/stack/claim.ts'
import { startClickHouse } from '../../hack/stack/clickhouse.ts'
import { startKubernetes } from '../../hack/stack/kubernetes.ts'
import { startPostgres } from '../../hack/stack/postgres.ts'
import { startRedis } from '../../hack/stack/redis.ts'
import { loadState } from '../../hack/stack/state.ts'
import { type ProgramSpec, Supervisor } from '../../hack/stack/supervisor.ts'
import type { Servers } from './lab.ts'

/** The embedded stack with programs that can be restarted. */
export interface OwnStack {
  readonly servers: Servers
  restart(program: string): Promise<void>
  stop(): Promise<void>
}

/** Remembers what it was told to start. */
class Restarting extends Supervisor {
  readonly #specs = new Map<string, ProgramSpec>()

  override start(spec: ProgramSpec): void {
    this.#specs.set(spec.name, spec)
    super.start(spec)
  }

  /** Ends the program as an administrator would, and starts it as it was. */
  async restart(name: string): Promise<void> {
    const spec = this.#specs.get(name)
    if (!spec) throw new Error(`restart ${name}: the stack has no such program`)
    await this.stop(name)
    this.start(spec)
  }
}

const PROGRAMS: Readonly<Record<string, string>> = { api: 'kube-apiserver' }

/** Starts the stack in an empty folder. Redis keeps its keys over a restart. */
export async function startOwnStack(dir: string, log: (line: string) => void): Promise<OwnStack> {
  mkdirSync(dir, { recursive: true })
  const supervisor = new Restarting(`${dir}/logs`, await claimFolder(dir))
  supervisor.onCrash(({ message }) => log(message))
  try {
    const common = { dir, assets: await ensureAssets({ log }), state: await loadState(dir), fresh: true }
    const [kubeconfig, postgres, redis, clickhouse] = await Promise.all([
      startKubernetes(supervisor, common),
      startPostgres(supervisor, common),
      startRedis(supervisor, common),
      startClickHouse(supervisor, common),
    ])
    await keepKeys(redis)
    return {
      servers: { kubeconfig, postgres, redis, clickhouse },
      restart: async (program) => {
        await supervisor.restart(PROGRAMS[program] ?? program)
      },
      stop: () => supervisor.close(),
    }
  } catch (error) {
    await supervisor.close()
    throw error
  }
}

/**
 * By a snapshot when it ends, not by its log of commands: Redis 7.0 reads that log as the default user, and leaves out every
 * transaction where that user is off.
 */
async function keepKeys({ host, port, username = '', password = '' }: Servers['redis']): Promise<void> {
  const redis = new Redis({ host, port, username, password })
  await redis.config('SET', 'save', '3600 1')
  await redis.config('REWRITE')
  redis.disconnect()
}
