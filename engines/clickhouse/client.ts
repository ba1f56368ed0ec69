import { Agent as HttpsAgent } from 'node:https'
import { ClickHouseLogLevel, type ClickHouseSettings, createClient } from '@clickhouse/client'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Connection, SessionOptions } from '../model.ts'
import { toAppError } from './errors.ts'

/** What one round trip needs beside its SQL. */
export interface Call {
  /** Starts the error message: "read databases". */
  readonly doing: string
  readonly signal: AbortSignal
  readonly params?: Readonly<Record<string, unknown>>
  /** Over those of the session. */
  readonly settings?: ClickHouseSettings
  /** The current database; default: the connection's. */
  readonly database?: string
  /** Default: the statement timeout of the session. */
  readonly timeoutMs?: number
}

/** The official client, reduced to what we need, with deadlines, cancellation and AppErrors. */
export interface Link {
  rows<T>(sql: string, call: Call): Promise<readonly T[]>
  /** Of any length: the server's limit for one statement is raised where it would not do. */
  run(sql: string, call: Call): Promise<void>
  close(): Promise<void>
}

/** Every write is done when the call returns: no asynchronous inserts, mutations or alters. */
const SYNCHRONOUS = {
  async_insert: 0,
  mutations_sync: '2',
  lightweight_deletes_sync: '2',
  alter_sync: '2',
  database_atomic_wait_for_drop_and_detach_synchronously: 1,
} as const

/** `settings: 'none'` for a tenant's own login, which may not be allowed to change settings. */
export function openLink(
  connection: Connection,
  options: Pick<SessionOptions, 'statementTimeoutMs' | 'maxConnections'>,
  settings: 'synchronous' | 'none' = 'synchronous',
): Link {
  const client = createClient({
    url: `${connection.tls === 'off' ? 'http' : 'https'}://${hostname(connection.host)}:${connection.port}`,
    username: connection.username ?? 'default',
    password: connection.password ?? '',
    application: 'tenantry',
    request_timeout: options.statementTimeoutMs,
    max_open_connections: options.maxConnections,
    log: { level: ClickHouseLogLevel.OFF },
    ...(settings === 'synchronous' && { clickhouse_settings: SYNCHRONOUS }),
    ...tlsOptions(connection, options.maxConnections),
  })
  const guarded = guard(connection, options.statementTimeoutMs)
  const settingsOf = ({ database = connection.database, settings: own }: Call, sql = ''): Settings => ({
    clickhouse_settings: { ...own, ...(database !== undefined && { database }), ...roomFor(sql) },
  })
  return {
    rows: (sql, call) =>
      guarded(call, async (abort_signal) => {
        const result = await client.query({
          query: sql,
          format: 'JSON',
          ...bound(call),
          ...settingsOf(call),
          abort_signal,
        })
        return (await result.json<never>()).data
      }),
    run: (sql, call) =>
      guarded(call, async (abort_signal) => {
        await client.command({ query: sql, ...bound(call), ...settingsOf(call, sql), abort_signal })
      }),
    close: () => client.close(),
  }
}

/** The client sends settings as parameters of the address, where the interface reads the current database too. */
interface Settings {
  readonly clickhouse_settings: ClickHouseSettings
}

function bound(call: Call): { query_params?: Record<string, unknown> } {
  return call.params ? { query_params: { ...call.params } } : {}
}

/** Below the server's default for `max_query_size`, 256 KiB, however many bytes a character takes. */
const ORDINARY_LENGTH = 64 * 1024

function roomFor(sql: string): { max_query_size?: string } {
  return sql.length < ORDINARY_LENGTH ? {} : { max_query_size: String(sql.length * 4) }
}

function hostname(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

function tlsOptions({ tls, ca }: Connection, maxSockets: number): object {
  if (tls === 'insecure')
    return { http_agent: new HttpsAgent({ rejectUnauthorized: false, keepAlive: true, maxSockets }) }
  return tls === 'verify' && ca ? { tls: { ca_cert: Buffer.from(ca) } } : {}
}

type Guarded = <T>(call: Call, send: (signal: AbortSignal) => Promise<T>) => Promise<T>

function guard(connection: Connection, statementTimeoutMs: number): Guarded {
  const server = `${connection.host}:${connection.port}`
  return async (call, send) => {
    const timeoutMs = call.timeoutMs ?? statementTimeoutMs
    // Not AbortSignal.timeout: its timer could not be cleared, and there is one of these for every request.
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), timeoutMs)
    try {
      return await send(AbortSignal.any([call.signal, deadline.signal]))
    } catch (error) {
      const doing = `${call.doing} on ${server}`
      if (call.signal.aborted)
        throw new AppError('Timeout', `${doing}: given up because the caller cancelled it`, error)
      if (deadline.signal.aborted) {
        const advice = 'check that host and port are right and that the server is not overloaded'
        throw new AppError('Timeout', `${doing}: no answer within ${timeoutMs} ms; ${advice}`, error)
      }
      throw toAppError(error, doing)
    } finally {
      clearTimeout(timer)
    }
  }
}
