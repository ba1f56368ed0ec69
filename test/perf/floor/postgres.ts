import type { Owner } from '@tenantry/engines/model.ts'
import type { PgChange } from '@tenantry/engines/postgres/diff/claim.ts'
import { lockKey } from '@tenantry/engines/postgres/lock-key.ts'
import type { Migration, PgResource } from '@tenantry/engines/postgres/model.ts'
import { CONTROL } from '@tenantry/engines/postgres/names.ts'
import { scramVerifier, verifierHash } from '@tenantry/engines/postgres/scram.ts'
import type { PgSnapshot } from '@tenantry/engines/postgres/snapshot.ts'
import { contextFor, type SqlContext } from '@tenantry/engines/postgres/sql/context.ts'
import { block, name as quoted, text } from '@tenantry/engines/postgres/sql/quote.ts'
import { changeStatements } from '@tenantry/engines/postgres/statements.ts'
import { Client, Pool } from 'pg'
import type { Tier } from '../platform.ts'
import type { Driver } from './lane.ts'

const LOCK_TIMEOUT = `SET LOCAL lock_timeout = '5s'`

/**
 * The engine's statements over pg. Each transaction is one message: one for neighbouring changes, one for each SQL file
 * with its ledger row. A verifier is derived for each login, as no server could be spared that.
 */
export function postgresDriver(tier: Tier, maxConnections: number): Driver<PgResource, PgSnapshot> {
  const { host, port, username: user, password, database } = tier.connection
  const pool = new Pool({ host, port, user, password, database, max: maxConnections, options: SEARCH_PATH } as object)
  pool.on('error', () => undefined)
  return {
    make: async ({ owner, password: plain }, changes) => {
      const verifier = await scramVerifier(plain)
      const context = contextFor(owner, {
        database: database ?? '',
        extensions: [],
        verifier: () => ({ verifier, hash: verifierHash(verifier) }),
      })
      const client = await pool.connect()
      try {
        for (const message of transactions(context, owner, changes)) await client.query(message)
      } finally {
        client.release()
      }
    },
    logIn: async (place) => {
      const client = new Client({ host, port, database, user: place.login, password: place.password } as object)
      await client.connect()
      await client.query('SELECT 1')
      await client.end()
    },
    close: () => pool.end(),
  }
}

const SEARCH_PATH = '-c search_path=pg_catalog'

function transactions(context: SqlContext, owner: Owner, changes: readonly PgChange[]): readonly string[] {
  const { installation, kind, namespace, name } = owner
  const key = JSON.stringify([installation, kind, namespace, name])
  const messages: string[] = []
  let together: string[] = []
  const flush = (): void => {
    if (together.length > 0) messages.push(transaction(key, together))
    together = []
  }
  for (const change of changes) {
    const { target } = change
    if (target.kind === 'Migration') {
      flush()
      messages.push(transaction(target.spec.schema, migration(owner, target)))
    } else together.push(...changeStatements(context, change))
  }
  flush()
  return messages
}

function transaction(key: string, statements: readonly string[]): string {
  const opening = ['BEGIN', LOCK_TIMEOUT, `SELECT pg_advisory_xact_lock(${lockKey(key)})`]
  return [...opening, ...statements, 'COMMIT'].join(';\n')
}

function migration({ installation }: Owner, { spec }: Migration): readonly string[] {
  const { schema, version, name, checksum, body } = spec
  const row = [schema, version, name, checksum, body].map(text)
  return [
    `SET LOCAL ROLE ${quoted(spec.owner)}`,
    `SET LOCAL search_path TO ${quoted(schema)}, public`,
    block(`EXECUTE ${text(body)};`),
    'RESET ROLE',
    'SET LOCAL search_path TO pg_catalog',
    `INSERT INTO ${CONTROL}.migration (schema, version, name, checksum, body, seq, event, started_at, finished_at, installation)
     VALUES (${row.join(', ')}, 1, 'apply', now(), clock_timestamp(), ${text(installation)})`,
  ]
}
