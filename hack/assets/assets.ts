import { type ObtainOptions, obtain } from './obtain.ts'
import { ensurePostgres } from './postgres.ts'
import { CONTROL_PLANE, HELM } from './programs.ts'
import { ensureRedis } from './redis.ts'

/** Absolute paths of every program the embedded stack runs. `postgresBin` is the folder with initdb, pg_ctl and postgres. */
export interface Assets {
  readonly kubeApiserver: string
  readonly kubeControllerManager: string
  readonly kubeScheduler: string
  readonly kubectl: string
  readonly etcd: string
  readonly redisServer: string
  readonly postgresBin: string
}

/**
 * Finds every program the embedded stack needs, or obtains it. `log` gets a line for each step that takes time, and none
 * when all is there. Rejects with one line that says what to install or set. Safe to interrupt and to run twice at once.
 */
export async function ensureAssets(options: ObtainOptions): Promise<Assets> {
  const redisServer = await ensureRedis(options)
  const postgresBin = await ensurePostgres()
  return { ...(await obtain(CONTROL_PLANE, options)), redisServer, postgresBin }
}

/** The path of Helm, found or obtained in the same way. */
export async function ensureHelm(options: ObtainOptions): Promise<string> {
  return (await obtain({ helm: HELM }, options)).helm
}
