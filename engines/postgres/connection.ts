import { Socket } from 'node:net'
import { Client, type ClientBase, type ClientConfig, type PoolConfig } from 'pg'
import type { Connection, SessionOptions } from '../model.ts'
import { readInTurns } from '../slices.ts'
import { codeOf, sqlState, toAppError } from './errors.ts'
import { isGreeting, speaksAnotherProtocol, wrongEngine } from './identify.ts'
import { TYPES } from './text-arrays.ts'

type Times = Pick<SessionOptions, 'connectTimeoutMs' | 'statementTimeoutMs' | 'readOnly'>

/** The part of the time to connect that is kept for finding out why it failed. */
const EXPLAINING = 0.2

/** A process that was paused in the middle of a transaction must not keep its locks: others wait for them. */
const IDLE_IN_TRANSACTION_MS = 10_000

/**
 * Settings of every connection of ours: the search path is pinned, so that no name is looked up where tenants may write. Unless
 * it is named, pg_temp comes first.
 */
export function clientConfig(connection: Connection, times: Times): PoolConfig & ClientConfig {
  const { host, port, username, password, database, tls, ca } = connection
  return {
    host,
    port,
    user: username ?? 'postgres',
    ...(password !== undefined && { password }),
    database: database ?? username ?? 'postgres',
    application_name: 'tenantry',
    connectionTimeoutMillis: times.connectTimeoutMs * (1 - EXPLAINING),
    statement_timeout: times.statementTimeoutMs,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    // A server that vanished cannot cancel the statement: then the client gives up, a little later.
    query_timeout: times.statementTimeoutMs + times.connectTimeoutMs,
    // Compiling a catalogue query takes longer than running it.
    options: `-c search_path=pg_catalog,pg_temp -c jit=off${times.readOnly ? ' -c default_transaction_read_only=on' : ''}`,
    keepAlive: true,
    // Queries that wait for nothing from each other are sent together.
    pipeline: true,
    ssl: tls === 'off' ? false : { rejectUnauthorized: tls === 'verify', ...(ca !== undefined && { ca }) },
    stream: sniffingSocket,
    types: TYPES,
  }
}

/** Refuses a server of another engine at its first byte; pg would wait for the end of a message that never comes. */
function sniffingSocket(): Socket {
  const socket = new Socket()
  socket.once('data', (bytes: Buffer) => {
    if (!isGreeting(bytes[0])) socket.destroy(wrongEngine())
  })
  return socket
}

/** To be called once a client is connected. */
export function shareLoop(client: ClientBase): void {
  readInTurns((client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream)
}

/** What failed to connect, once more: a server that says nothing, or nothing that pg understands, may be of another engine. */
export async function explainFailure(error: unknown, { host, port }: Connection, times: Times): Promise<unknown> {
  const unclear = ['Timeout', 'Unreachable'].includes(codeOf(error)) && sqlState(error) === undefined
  const other = unclear && (await speaksAnotherProtocol(host, port, times.connectTimeoutMs * EXPLAINING))
  return other ? wrongEngine() : error
}

/** Runs `use` over one short-lived connection, which is closed whatever happens. `doing` starts the message of an error. */
export async function withClient<T>(
  { connection, times }: { readonly connection: Connection; readonly times: Times },
  doing: string,
  signal: AbortSignal,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(clientConfig(connection, times))
  client.on('error', () => undefined)
  const connect = async (): Promise<void> => {
    await client.connect().catch(async (error: unknown) => {
      throw await explainFailure(error, connection, times)
    })
  }
  try {
    return await abortable(signal, async () => {
      await connect()
      shareLoop(client)
      return await use(client)
    })
  } catch (error) {
    throw toAppError(error, doing)
  } finally {
    await closeQuietly(client)
  }
}

/** A connection in the middle of a query is cut; one that does not say goodbye in a second is left to the kernel. */
async function closeQuietly(client: Client): Promise<void> {
  const patience = Promise.withResolvers<void>()
  const timer = setTimeout(patience.resolve, 1_000)
  await Promise.race([client.end().catch(() => undefined), patience.promise])
  clearTimeout(timer)
}

/** Rejects with the signal's reason as soon as it aborts; the work goes on until its connection is cut. */
export async function abortable<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work(), aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
