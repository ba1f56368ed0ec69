import { connect } from 'node:net'

/** PostgreSQL's SSLRequest: a client may send it first, and the server answers with one letter. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const REDIS_PING = Buffer.from('PING\r\n')

/**
 * Asks a server that closed an HTTP connection without an answer what it is. For error messages only: undefined when it
 * says nothing that we know within the time.
 */
export async function identify(host: string, port: number, timeoutMs: number): Promise<string | undefined> {
  const postgres = await firstBytes({ host, port, timeoutMs }, SSL_REQUEST)
  if (postgres === 'S' || postgres === 'N') return 'PostgreSQL'
  const redis = await firstBytes({ host, port, timeoutMs }, REDIS_PING)
  return redis && /^[+-](PONG|NOAUTH|DENIED|ERR)/.test(redis) ? 'Redis' : undefined
}

function firstBytes(
  { host, port, timeoutMs }: { host: string; port: number; timeoutMs: number },
  send: Buffer,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs })
    const end = (answer?: string): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => socket.write(send))
    socket.once('data', (bytes) => end(bytes.subarray(0, 64).toString('latin1')))
    socket.once('timeout', () => end())
    socket.once('error', () => end())
    socket.once('close', () => end())
  })
}
