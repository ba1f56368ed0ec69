import { type Client, Pool, type PoolClient } from 'pg'
import type { Connection, Session, SessionOptions } from '../model.ts'
import { apply } from './apply.ts'
import { abortable, clientConfig, explainFailure, shareLoop, withClient } from './connection.ts'
import { sqlState, toAppError } from './errors.ts'
import { health } from './health.ts'
import type { PgResource } from './model.ts'
import { observe, type Read, type Visit } from './observe.ts'
import { compareSchemas } from './picture/compare.ts'
import { draw } from './picture/draw.ts'
import { history } from './picture/history.ts'
import { probe } from './probe.ts'
import type { PgSnapshot } from './snapshot.ts'

/** Ways to the shard's server. Errors are AppErrors whose messages start with the given words. */
export interface Server {
  readonly options: SessionOptions
  /** `postgres 10.0.0.5:5432/app`, for messages. */
  readonly title: string
  /** A pooled connection to the shard's database. It is thrown away when `use` fails. */
  readonly pooled: <T>(doing: string, signal: AbortSignal, use: (client: PoolClient) => Promise<T>) => Promise<T>
  /** A short-lived connection, to another database or as another user. */
  readonly single: <T>(
    other: Partial<Connection>,
    doing: string,
    signal: AbortSignal,
    use: (client: Client) => Promise<T>,
  ) => Promise<T>
}

export function connect(connection: Connection, options: SessionOptions): Session<PgResource, PgSnapshot> {
  const pool = new Pool({
    ...clientConfig(connection, options),
    max: options.maxConnections,
    idleTimeoutMillis: 60_000,
  })
  // An idle connection that the server closes is replaced at the next use.
  pool.on('error', () => undefined)
  // The pool does not listen to a connection that is in use: without this its loss between two statements ends the process.
  pool.on('connect', (client) => {
    client.on('error', () => undefined)
    shareLoop(client)
  })
  const server = serverOver(pool, connection, options)
  return {
    observe: (scope, signal) =>
      server.pooled('observe', signal, (client) => observe(reader(client), visitor(server, signal), scope)),
    apply: (batch, signal) => apply(server, batch, signal),
    health: (signal) => health(server, signal),
    probe: (login, signal) => probe(server, connection, login, signal),
    compareSchemas: (question, signal) => compareSchemas(server, question, signal),
    history: (schemas, signal) => history(server, schemas, signal),
    diagram: (drawn, signal) => draw(server, drawn, signal),
    close: () => pool.end(),
  }
}

function serverOver(pool: Pool, connection: Connection, options: SessionOptions): Server {
  const title = `postgres ${connection.host}:${connection.port}/${connection.database ?? ''}`
  return {
    options,
    title,
    async pooled(doing, signal, use) {
      let client: PoolClient | undefined
      let failed = true
      try {
        client = await acquire(pool, signal, (error) => explainFailure(error, connection, options))
        const held = client
        const result = await abortable(signal, () => use(held))
        failed = false
        return result
      } catch (error) {
        throw toAppError(error, `${doing} on ${title}`)
      } finally {
        client?.release(failed)
      }
    },
    single: (other, doing, signal, use) =>
      withClient({ connection: { ...connection, ...other }, times: options }, `${doing} on ${title}`, signal, use),
  }
}

/** A connection that arrives after the signal goes back to the pool. */
async function acquire(
  pool: Pool,
  signal: AbortSignal,
  explain: (error: unknown) => Promise<unknown>,
): Promise<PoolClient> {
  signal.throwIfAborted()
  const connecting = pool.connect().catch(async (error: unknown) => {
    throw await explain(error)
  })
  try {
    return await abortable(signal, () => connecting)
  } catch (error) {
    connecting.then((client) => client.release()).catch(() => undefined)
    throw error
  }
}

export function reader(client: Client | PoolClient): Read {
  return async (text, values = []) => (await client.query(text, [...values])).rows
}

/** Another database of the same server; it may have been dropped in the meantime. */
function visitor(server: Server, signal: AbortSignal): Visit {
  return async (database, look) => {
    try {
      return await server.single({ database }, `look into database "${database}"`, signal, (client) =>
        look(reader(client)),
      )
    } catch (error) {
      if (error instanceof Error && sqlState(error.cause) === '3D000') return undefined
      throw error
    }
  }
}
