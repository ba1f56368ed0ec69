import { escapeIdentifier, type QueryResult } from 'pg'
import { toQueueError } from './errors.ts'

/** What runs a query: a pool, or a client in somebody's transaction. */
export interface Database {
  query(config: { name?: string; text: string; values: unknown[]; rowMode?: 'array' }): Promise<QueryResult>
}

/** Jobs that became ready, as Redis wants them: queue, priority, tenant, ids with a blank between. */
export type Group = readonly [queue: string, priority: number, tenant: string, ids: string]

/** Places that became free: queue, tenant ('' for the queue as a whole), how many. */
export type Freed = readonly [queue: string, tenant: string, count: number]

/** What a change of jobs brought about, for Redis and for the worker. */
export interface Outcome {
  readonly ready?: readonly Group[] | null
  readonly freed?: readonly Freed[] | null
  /** Ids of jobs that were no longer the worker's. */
  readonly fenced?: readonly string[] | null
  readonly xid?: string | null
}

/** What an enqueue answers; `ids` in the order of the jobs, with a blank between; `twins` are places and ids of duplicates. */
export interface Made extends Outcome {
  readonly ids: string
  readonly kept: number
  readonly twins: readonly (readonly [place: number, id: string])[] | null
  readonly batch: string | null
}

/** A job that a worker holds. */
export interface Claimed {
  readonly id: string
  readonly epoch: number
  /** How often it failed before. */
  readonly attempt: number
  readonly crashes: number
  /** The delay before this attempt, in milliseconds. */
  readonly backoff: number
  readonly priority: number
  readonly queue: string
  readonly tenant: string
  readonly name: string
  readonly payload: unknown
}

/** A job that a pause or cap of Postgres holds back. */
export type Held = Pick<Claimed, 'id' | 'queue' | 'priority' | 'tenant'>

export interface Failure {
  readonly id: string
  readonly epoch: number
  /** Milliseconds until it is tried again; null where it must not be. */
  readonly delay: number | null
  readonly error: string
}

/** Calls of the functions in the database, and nothing else. Throws QueueError only. */
export interface Store {
  readonly schema: string
  /** A function that returns one value. */
  value<T>(db: Database, name: string, ...values: unknown[]): Promise<T>
  /** A function that returns rows, as arrays. */
  rows<T extends readonly unknown[]>(db: Database, name: string, ...values: unknown[]): Promise<readonly T[]>
}

const DOING: Readonly<Record<string, string>> = { take: 'claim jobs', claim: 'claim jobs', complete: 'complete jobs' }

export function openStore(schema: string): Store {
  const prefix = escapeIdentifier(schema)
  const parameters = (values: readonly unknown[]): string => values.map((_, i) => `$${i + 1}`).join(', ')
  const send = async (db: Database, text: string, { name, values }: Call): Promise<QueryResult> => {
    try {
      return await db.query({ name: `${name}/${values.length}/${schema}`.slice(0, 63), text, values, rowMode: 'array' })
    } catch (error) {
      throw toQueueError(error, `${DOING[name] ?? name.replaceAll('_', ' ')} in queue ${schema}`)
    }
  }
  return {
    schema,
    async value<T>(db: Database, name: string, ...values: unknown[]) {
      const { rows } = await send(db, `SELECT ${prefix}.${name}(${parameters(values)})`, { name, values })
      return rows[0]?.[0] as T
    },
    async rows<T extends readonly unknown[]>(db: Database, name: string, ...values: unknown[]) {
      const { rows } = await send(db, `SELECT * FROM ${prefix}.${name}(${parameters(values)})`, { name, values })
      return rows as unknown as T[]
    },
  }
}

interface Call {
  readonly name: string
  readonly values: unknown[]
}

/** An array of numbers or ids as Postgres reads it: cheaper than what the driver makes of an array. */
export function arrayText(values: readonly (number | string)[]): string {
  return `{${values.join(',')}}`
}

type ClaimedRow = readonly [
  id: string,
  epoch: number | null,
  attempt: number,
  crashes: number,
  backoff: number,
  priority: number,
  queue: string,
  tenant: string,
  name: string,
  payload: unknown,
]

/** The rows of a claim: what the worker holds now, and what is held back. */
export function readClaim(rows: readonly ClaimedRow[]): { jobs: Claimed[]; held: Held[] } {
  const jobs: Claimed[] = []
  const held: Held[] = []
  for (const [id, epoch, attempt, crashes, backoff, priority, queue, tenant, name, payload] of rows) {
    if (epoch === null) held.push({ id, queue, priority, tenant })
    else jobs.push({ id, epoch, attempt, crashes, backoff, priority, queue, tenant, name, payload })
  }
  return { jobs, held }
}
