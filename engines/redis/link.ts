import { isIP, type Socket, connect as tcpConnect } from 'node:net'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { readInTurns } from '@tenantry/engines/slices.ts'
import { Redis } from 'ioredis'
import { toAppError } from './errors.ts'

export interface Times {
  readonly connectTimeoutMs: number
  readonly statementTimeoutMs: number
}

/** One command: its words. */
export type Command = readonly string[]

/** An answer to a command of a pipeline: the value or the server's refusal, in the server's words. */
export type Reply = { readonly value: unknown } | { readonly refused: string }

/**
 * A connection that is made when it is needed and made anew after it was lost, so that a server's restart heals with the
 * next call and a dead server costs no reconnect loop. Throws AppError only; no error carries a command's arguments.
 */
export interface Link {
  /** Sends all commands at once; throws only when the connection fails. `atomic` wraps them in MULTI. */
  pipeline(commands: readonly Command[], signal: AbortSignal, atomic?: boolean): Promise<readonly Reply[]>
  /** The address, for messages. */
  readonly where: string
  close(): void
}

/** The value of a reply; throws the mapped AppError where the server refused. */
export function answer(reply: Reply | undefined, doing: string): unknown {
  if (reply && 'value' in reply) return reply.value
  throw toAppError(new Error(reply?.refused ?? 'no reply'), doing)
}

/** A server, for messages. */
export function addressOf({ host, port }: Connection): string {
  return `redis ${host}:${port}`
}

export function openLink(connection: Connection, times: Times): Link {
  const where = addressOf(connection)
  let current: Promise<Redis> | undefined
  const forget = (): void => {
    const old = current
    current = undefined
    old?.then((r) => r.disconnect()).catch(() => undefined)
  }
  const connected = (): Promise<Redis> => {
    current ??= connectOnce(connection, times, where)
    return current
  }
  const ready = async (): Promise<Redis> => {
    const made = connected()
    const redis = await made.catch(() => undefined)
    if (redis?.status === 'ready') return redis
    if (current === made) current = undefined
    return redis ? connected() : made
  }
  const send = async (commands: readonly Command[], atomic: boolean): Promise<readonly Reply[]> =>
    exchange(await ready(), commands, atomic)
  return {
    where,
    async pipeline(commands, signal, atomic = false) {
      if (commands.length === 0) return []
      const limit = times.connectTimeoutMs + times.statementTimeoutMs
      try {
        return await within(send(commands, atomic), limit, signal)
      } catch (error) {
        const mapped = toAppError(reasonOf(error), `talk to ${where}`)
        // A late answer must not be taken for that of a later command's.
        if (mapped.code === 'Timeout' || mapped.code === 'Unreachable') forget()
        throw mapped
      }
    },
    close: forget,
  }
}

/** Sends all commands at once over one connection; throws what the driver throws when that fails. */
export async function exchange(redis: Redis, commands: readonly Command[], atomic = false): Promise<readonly Reply[]> {
  const batch = atomic ? redis.multi() : redis.pipeline()
  for (const [name = '', ...args] of commands) batch.call(name, ...args)
  const results = await batch.exec()
  return (results ?? []).map(([error, value]) => (error ? refusal(error) : { value }))
}

// A server's refusal has its code in capitals; anything else is the connection's failure and concerns the whole pipeline.
function refusal(error: Error): Reply {
  if (error.name === 'ReplyError') return { refused: error.message }
  throw error
}

// EXECABORT itself does not say which command was refused, or why.
function reasonOf(error: unknown): unknown {
  const previous = error instanceof Error && 'previousErrors' in error ? error.previousErrors : undefined
  return Array.isArray(previous) && previous[0] instanceof Error ? previous[0] : error
}

/** One connection, logged in; it is not made anew when it is lost. */
export async function connectOnce(connection: Connection, times: Times, where: string): Promise<Redis> {
  const redis = new Redis(options(connection, times))
  let last: unknown
  redis.on('error', (error: unknown) => {
    last = error
  })
  try {
    await within(handshake(redis, connection), times.connectTimeoutMs)
    return redis
  } catch (error) {
    redis.disconnect()
    const mapped = toAppError(last ?? error, `connect to ${where}`)
    if (mapped.code !== 'Unreachable' || /ECONN|ENOTFOUND|EHOST|ENET|EAI/.test(mapped.message)) throw mapped
    throw (await otherEngine(connection, times.connectTimeoutMs)) ?? mapped
  }
}

// AUTH is ours and not the driver's, which goes on after a refusal; PING shows a server that wants a password and got none.
async function handshake(redis: Redis, { username = 'default', password }: Connection): Promise<void> {
  await redis.connect()
  readInTurns(redis.stream as Socket)
  if (password !== undefined) await redis.auth(username, password)
  await redis.ping()
}

function options({ host, port, tls, ca }: Connection, times: Times) {
  const secure = {
    rejectUnauthorized: tls === 'verify',
    ...(isIP(host) === 0 && { servername: host }),
    ...(ca !== undefined && { ca }),
  }
  return {
    host,
    port,
    protocol: 2,
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: times.connectTimeoutMs,
    commandTimeout: times.statementTimeoutMs,
    ...(tls !== 'off' && { tls: secure }),
  } as const
}

/** Settles with the promise, or rejects with `Timeout` after so many milliseconds or when the signal aborts. */
export async function within<T>(work: Promise<T>, milliseconds: number, signal?: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new AppError('Timeout', `no answer from the Redis server within ${milliseconds} ms`)),
    milliseconds,
  )
  const aborted = (): void =>
    reject(new AppError('Timeout', 'stopped waiting for the Redis server: the work was cancelled'))
  signal?.addEventListener('abort', aborted, { once: true })
  if (signal?.aborted) aborted()
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', aborted)
    work.catch(() => undefined)
  }
}

/**
 * A PostgreSQL server closes a connection that speaks Redis without a word, as a TLS port or a proxy without a server does.
 * PostgreSQL alone answers its SSLRequest with one letter: that tells them apart. Undefined when nothing can be said.
 */
async function otherEngine({ host, port }: Connection, timeoutMs: number): Promise<AppError | undefined> {
  const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
  const socket = tcpConnect({ host, port })
  try {
    const answer = new Promise<Buffer>((resolve, reject) => {
      socket
        .once('data', resolve)
        .once('error', reject)
        .once('close', () => reject(new Error('closed')))
      socket.once('connect', () => socket.write(sslRequest))
    })
    const letter = (await within(answer, timeoutMs)).toString('latin1')
    if (!/^[SN]$/.test(letter)) return undefined
    return new AppError(
      'WrongEngine',
      `connect to redis ${host}:${port}: a PostgreSQL server answers there; correct host and port in the connection Secret`,
    )
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}
