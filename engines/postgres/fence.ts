import type { PoolClient, QueryResultRow } from 'pg'
import type { Stamp } from '../fence.ts'
import { FENCED, sqlState } from './errors.ts'
import { lockKey } from './lock-key.ts'
import type { Server } from './session.ts'
import { block, text } from './sql/quote.ts'

/**
 * The schema that holds the stored epochs. It is not the control schema, which belongs to one Database and goes with it: a
 * fence must be there before the first object of ours, and still be there after the last.
 */
const FENCE = 'tenantry_fence'

/** Waiting longer would hold up those that queue behind us. */
const LOCK_TIMEOUT_MS = 5_000

/** For a transaction whose settings were reset. */
export const LOCK_TIMEOUT = `SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`

/** What a transaction begins and ends with, so that it is refused once a later epoch writes to the server. */
export interface Pass {
  readonly enter: readonly string[]
  readonly leave: readonly string[]
}

const FREE: Pass = { enter: [], leave: [] }

/** What `hold` needs to know of a batch. */
export interface Holder {
  readonly server: Server
  readonly signal: AbortSignal
  readonly stamp: Stamp | undefined
}

function keyOf({ fence }: Stamp): string {
  return lockKey(`fence/${fence}`)
}

/** For a transaction in the shard's database. */
export function passOf(stamp: Stamp | undefined): Pass {
  if (!stamp) return FREE
  return { enter: [`SELECT ${FENCE}.admit(${text(stamp.fence)}, ${stamp.epoch}, ${keyOf(stamp)})`], leave: [] }
}

/** How every transaction of ours begins. Under another isolation level it would not see an epoch that was raised while it waited. */
export function beginning({ enter }: Pass, lockTimeoutMs = LOCK_TIMEOUT_MS): readonly string[] {
  return ['BEGIN ISOLATION LEVEL READ COMMITTED', `SET LOCAL lock_timeout = ${lockTimeoutMs}`, ...enter]
}

/** A whole transaction as one message. */
export function transactionOf(pass: Pass, list: readonly string[], lockTimeoutMs?: number): string {
  return [...beginning(pass, lockTimeoutMs), ...list, ...pass.leave, 'COMMIT'].join(';\n')
}

/** One statement in a transaction of its own where there is a fence to pass, and by itself where there is none. */
export function admittedAlone(stamp: Stamp | undefined, statement: string): string {
  return stamp ? transactionOf(passOf(stamp), [statement]) : statement
}

/** Runs a query in one round trip, in a transaction that raises the stored epoch where it is lower. Makes the fence where there is none. */
export async function queryAdmitted<R extends QueryResultRow>(
  client: PoolClient,
  stamp: Stamp | undefined,
  query: string,
): Promise<readonly R[]> {
  const run = async (): Promise<readonly R[]> => {
    const results = [await client.query<R>(admittedAlone(stamp, query))].flat()
    return results.at(stamp ? -2 : -1)?.rows ?? []
  }
  try {
    return await run()
  } catch (error) {
    if (!MISSING.includes(sqlState(error) ?? '')) throw error
    await client.query('ROLLBACK')
    await client.query(fenceStatements().join(';\n'))
    return await run()
  }
}

/** No such schema, function or table. */
const MISSING: readonly string[] = ['3F000', '42883', '42P01']

/**
 * Keeps the stored epoch from being raised while `use` does what no transaction of the shard's database can: makes or drops a
 * database over the given connection, or works in another database with the given pass. The lock belongs to the connection,
 * and the server ends one that is silent for longer than any step may take: a process that was paused finds it gone.
 */
export async function hold<T>(
  { server, signal, stamp }: Holder,
  doing: string,
  use: (client: PoolClient, pass: Pass) => Promise<T>,
): Promise<T> {
  return await server.pooled(doing, signal, async (client) => {
    if (!stamp) return await use(client, FREE)
    const { statementTimeoutMs, connectTimeoutMs } = server.options
    const results = await client.query<{ pid: number }>(
      [
        ...beginning(passOf(stamp)),
        `SELECT pg_advisory_lock_shared(${keyOf(stamp)})`,
        `SET idle_session_timeout = ${statementTimeoutMs + 2 * connectTimeoutMs}`,
        'COMMIT',
        'SELECT pg_backend_pid() AS pid',
      ].join(';\n'),
    )
    const pid = [results].flat().at(-1)?.rows[0]?.pid ?? 0
    const result = await use(client, elsewhere(stamp, pid))
    await client.query(`SELECT pg_advisory_unlock_shared(${keyOf(stamp)}); RESET idle_session_timeout`)
    return result
  })
}

/** For a transaction in another database of the server, which sees the locks of all: it is refused unless that backend still holds ours. */
function elsewhere(stamp: Stamp, pid: number): Pass {
  const held = block(`IF NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = ${pid} AND granted
    AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = ${keyOf(stamp)}) THEN
  RAISE EXCEPTION USING ERRCODE = '${FENCED}', MESSAGE = ${text(
    `the connection that keeps the fence of ${stamp.fence} for epoch ${stamp.epoch} is gone`,
  )};
END IF;`)
  return { enter: [held], leave: [held] }
}

/**
 * Writers share a lock and read the stored epoch under it; whoever raises the epoch takes the lock alone, and so waits for
 * the transactions in flight and is not overtaken by others. Nothing is written where the epoch is the same.
 */
function fenceStatements(): readonly string[] {
  return [
    'BEGIN',
    `SELECT pg_advisory_xact_lock(${lockKey('make the fence')})`,
    `CREATE SCHEMA IF NOT EXISTS ${FENCE}`,
    `CREATE TABLE IF NOT EXISTS ${FENCE}.stored (fence text PRIMARY KEY, epoch bigint NOT NULL)`,
    `CREATE OR REPLACE FUNCTION ${FENCE}.admit(of text, mine bigint, key bigint) RETURNS void LANGUAGE plpgsql AS ${text(`
DECLARE found_epoch bigint;
BEGIN
  SELECT s.epoch INTO found_epoch FROM ${FENCE}.stored s WHERE s.fence = of;
  IF coalesce(found_epoch < mine, true) THEN
    PERFORM pg_advisory_xact_lock(key);
  ELSE
    PERFORM pg_advisory_xact_lock_shared(key);
  END IF;
  SELECT s.epoch INTO found_epoch FROM ${FENCE}.stored s WHERE s.fence = of;
  IF found_epoch > mine THEN
    RAISE EXCEPTION USING ERRCODE = '${FENCED}', MESSAGE =
      format('epoch %s of %s is over, since epoch %s writes to this server', mine, of, found_epoch);
  ELSIF coalesce(found_epoch < mine, true) THEN
    INSERT INTO ${FENCE}.stored AS s VALUES (of, mine)
    ON CONFLICT (fence) DO UPDATE SET epoch = excluded.epoch WHERE s.epoch < excluded.epoch;
  END IF;
END`)}`,
    `REVOKE ALL ON FUNCTION ${FENCE}.admit(text, bigint, bigint) FROM PUBLIC`,
    `COMMENT ON SCHEMA ${FENCE} IS 'Tenantry: which leader may write'`,
    'COMMIT',
  ]
}
