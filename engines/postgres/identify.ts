import { connect } from 'node:net'
import { WRONG_ENGINE } from './errors.ts'

/** What a Postgres server may send first: authentication, an error, a notice, a protocol version, or yes or no to TLS. */
const GREETINGS = new Set(['R', 'E', 'N', 'S', 'v'].map((letter) => letter.charCodeAt(0)))

/** True when a first byte can come from a Postgres server. */
export function isGreeting(byte: number | undefined): boolean {
  return byte !== undefined && GREETINGS.has(byte)
}

export function wrongEngine(): Error {
  const error = new Error('the server there does not speak the protocol of PostgreSQL')
  return Object.assign(error, { code: WRONG_ENGINE })
}

/**
 * Tells a server of another engine from one that hangs, within `patienceMs`: Redis waits in silence for the end of what pg
 * says first, but answers a line, as HTTP servers do. Postgres takes the line for a nonsensical length and hangs up.
 */
export async function speaksAnotherProtocol(host: string, port: number, patienceMs: number): Promise<boolean> {
  const answer = Promise.withResolvers<boolean>()
  const socket = connect({ host, port })
  socket.once('connect', () => socket.write('PING\r\n\r\n'))
  socket.once('data', (bytes: Buffer) => answer.resolve(/^(\+PONG|-[A-Z]+ |HTTP\/)/.test(bytes.toString('latin1'))))
  socket.once('error', () => answer.resolve(false))
  socket.once('close', () => answer.resolve(false))
  const timer = setTimeout(() => answer.resolve(false), patienceMs)
  try {
    return await answer.promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}
