import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Call, Link } from './client.ts'
import type { FencedLink } from './fence.ts'
import { literal } from './quote.ts'

/** Work on the rows of a table that the server has not ended. */
export interface Mutation {
  readonly table: string
  readonly id: string
  readonly command: string
  readonly parts: number
  /** Why its last attempt failed; the server tries again. */
  readonly reason: string
}

/** One that fails for so long is taken to fail for ever. */
const GRACE_MS = 2_000
const PAUSES = { first: 20, longest: 1_000 } as const

/** What the server still works on in the tables of a database. */
export function readMutations(link: Link, database: string, { doing, signal }: Call): Promise<readonly Mutation[]> {
  return link.rows<Mutation>(
    `SELECT table, mutation_id AS id, command, toUInt32(parts_to_do) AS parts, latest_fail_reason AS reason
    FROM system.mutations WHERE database = {database:String} AND NOT is_done ORDER BY table, create_time, mutation_id`,
    { doing: `${doing}: look at the mutations`, signal, params: { database } },
  )
}

/** Tells mutations apart from others of the same database. */
export function keyOf({ table, id }: Pick<Mutation, 'table' | 'id'>): string {
  return JSON.stringify([table, id])
}

/** Waits for mutations: all of a database but those in `before`. */
export interface Wait {
  readonly database: string
  readonly before: ReadonlySet<string>
  /** Whether one that fails may be cancelled: it is known to be ours. */
  readonly own: boolean
  readonly waitMs: number
}

/**
 * Resolves to true when they are done and to false when they are not within the time. One that keeps failing is cancelled where it is
 * ours, for it would hold up all later ones, and throws AppError `MigrationFailed` with the server's reason.
 */
export async function settle(link: FencedLink, wait: Wait, call: Call): Promise<boolean> {
  const begun = performance.now()
  let failingSince: number | undefined
  for (let pause: number = PAUSES.first; ; pause = Math.min(2 * pause, PAUSES.longest)) {
    const open = (await readMutations(link, wait.database, call)).filter((each) => !wait.before.has(keyOf(each)))
    if (open.length === 0) return true
    const failing = open.find(({ reason }) => reason !== '')
    failingSince = failing && (failingSince ?? performance.now())
    const grace = Math.min(GRACE_MS, wait.waitMs / 2)
    if (failing && failingSince !== undefined && performance.now() - failingSince >= grace)
      throw await failed(link, failing, wait, call)
    if (performance.now() - begun >= wait.waitMs) return false
    await rest(pause, call)
  }
}

/** Pauses; throws AppError `Timeout` when the caller gives up meanwhile. */
export async function rest(pause: number, { doing, signal }: Call): Promise<void> {
  try {
    await sleep(pause, undefined, { signal })
  } catch (error) {
    throw new AppError('Timeout', `${doing}: given up because the caller cancelled it`, error)
  }
}

async function failed(link: FencedLink, mutation: Mutation, { database, own }: Wait, call: Call): Promise<AppError> {
  const { table, id, command, reason } = mutation
  const where = `database = ${literal(database)} AND table = ${literal(table)} AND mutation_id = ${literal(id)}`
  const { doing, signal } = call
  if (own) await link.run(`KILL MUTATION WHERE ${where}`, { doing: `${doing}: cancel mutation ${id}`, signal })
  const what = `mutation ${id} of table ${table}, ${command.slice(0, 200)}, fails: ${reason.slice(0, 400)}`
  const advice = own ? 'it was cancelled; correct the file' : `cancel it by KILL MUTATION WHERE ${where}`
  return new AppError('MigrationFailed', `${doing}: ${what}; ${advice}`)
}
