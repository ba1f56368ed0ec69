import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Client, PoolClient } from 'pg'
import { codeOf } from '../errors.ts'
import { shown } from '../lint/shown.ts'
import { lockKey } from '../lock-key.ts'
import { text } from '../sql/quote.ts'

/**
 * How long each attempt waits for a lock, in milliseconds. Whoever comes after us queues behind our request: so the first ones
 * give way soon, and none waits as long as the logins of tenants do, which is 5 s.
 */
const WAITS = [500, 1_000, 2_000, 3_000, 4_000] as const

/** How long the first attempt waits for a lock, in milliseconds. */
export const FIRST_WAIT_MS = WAITS[0]

/** Where attempts are made. */
export interface Attempts {
  readonly client: Client | PoolClient
  readonly signal: AbortSignal
  readonly schema: string
  /** How the message of an error begins. */
  readonly doing: string
}

/**
 * Tries until a lock is granted, each time waiting longer and pausing before the next for a random part of what it waited.
 * Throws `LockTimeout` after the last attempt, which says who is in the way; any other error as it is, with the transaction undone.
 */
export async function attempt(at: Attempts, run: (lockTimeoutMs: number) => Promise<void>): Promise<void> {
  for (const wait of WAITS) {
    at.signal.throwIfAborted()
    try {
      await run(wait)
      return
    } catch (error) {
      await at.client.query('ROLLBACK').catch(() => undefined)
      if (codeOf(error) !== 'LockTimeout') throw error
      if (wait === WAITS.at(-1)) throw await lockTimeout(at, error)
    }
    await setTimeout(randomInt(wait / 2, wait), undefined, { signal: at.signal })
  }
}

async function lockTimeout({ client, schema, doing }: Attempts, cause: unknown): Promise<AppError> {
  const { rows } = await client.query<Blocker>(blockersOf(schema))
  const who = rows.map(
    ({ pid, application, lock, seconds }) =>
      `process ${pid} (${shown(application || 'of no name')}) has had ${shown(lock)} for ${seconds} s`,
  )
  const waited = WAITS.reduce((sum, wait) => sum + wait, 0) / 1_000
  const reason = who.length > 0 ? who.join('; ') : 'whoever had it has let it go since'
  return new AppError(
    'LockTimeout',
    `${doing}: a lock was not granted in ${WAITS.length} attempts and ${waited} s: ${reason}. ` +
      'It is tried again, and other tenants go on; end that transaction if it does not end by itself',
    cause,
  )
}

interface Blocker {
  readonly pid: number
  readonly application: string
  readonly lock: string
  readonly seconds: number
}

/** Those who hold what was waited for, as far as it is in the schema: the longest transactions first. */
function blockersOf(schema: string): string {
  return `SELECT a.pid, coalesce(a.application_name, '') AS application, extract(epoch FROM now() - a.xact_start)::int AS seconds,
    CASE l.locktype WHEN 'advisory' THEN 'the schema' ELSE l.mode || ' on ' || c.relname END AS lock
  FROM pg_locks l JOIN pg_stat_activity a USING (pid) LEFT JOIN pg_class c ON c.oid = l.relation
  WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (c.relnamespace = to_regnamespace(quote_ident(${text(schema)})) AND c.relkind NOT IN ('i', 'I')
      OR l.locktype = 'advisory' AND l.objsubid = 1 AND ((l.classid::bigint << 32) | l.objid::bigint) = ${lockKey(schema)})
  ORDER BY a.xact_start NULLS LAST LIMIT 3`
}
