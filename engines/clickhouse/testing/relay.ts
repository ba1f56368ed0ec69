/** A server between the engine and ClickHouse that tells what is asked for. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Connection } from '../../model.ts'

export interface Relay {
  readonly connection: Connection
  /** The text of each request since the last `take`. */
  take(): readonly string[]
  /** Hangs up on every request for as long as it is true. */
  broken: boolean
  close(): void
}

export async function openRelay(connection: Connection): Promise<Relay> {
  const taken: string[] = []
  const server = createServer((incoming, response) => {
    if (relay.broken) return void incoming.socket.destroy()
    const { host, port } = connection
    const { method, url, headers } = incoming
    const onward = request({ host, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    const body: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => body.push(chunk))
    incoming.on('end', () => void taken.push(Buffer.concat(body).toString()))
    incoming.pipe(onward)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const port = (server.address() as AddressInfo).port
  const relay: Relay = {
    connection: { ...connection, host: '127.0.0.1', port },
    take: () => taken.splice(0),
    broken: false,
    close: () => void server.close(),
  }
  return relay
}
