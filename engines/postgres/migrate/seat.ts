import type { Client, PoolClient } from 'pg'
import type { Work } from '../apply.ts'
import type { Pass } from '../fence.ts'
import type { Attempts } from './attempts.ts'

/** A connection to the database where the schema is, and the one to the shard's, whose ledger is read. */
export interface Seat {
  readonly work: Work
  readonly client: Client | PoolClient
  readonly pass: Pass
  readonly shard: PoolClient
}

/** How a lock is waited for over the seat's connection; `doing` begins the message when it is not granted. */
export function attemptsOf({ work, client }: Seat, schema: string, doing: string): Attempts {
  return { client, signal: work.signal, schema, doing: `${doing} on ${work.server.title}` }
}
