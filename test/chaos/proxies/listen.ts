import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP server on 127.0.0.1 that hands each client over with a connection of its own to the real server. */
export interface Relay {
  readonly port: number
  /** Breaks every connection (RST). */
  disconnect(): void
  close(): Promise<void>
}

export interface Upstream {
  readonly host: string
  readonly port: number
}

/** `serve` gets the client's socket and makes the connection to the server when it wants one. */
export async function openRelay(
  upstream: Upstream,
  serve: (client: Socket, open: () => Socket) => Promise<void> | void,
): Promise<Relay> {
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    return socket
  }
  const server: Server = createServer((client) => {
    keep(client)
    const open = (): Socket => {
      const socket = keep(connect(upstream.port, upstream.host))
      socket.once('close', () => client.destroy())
      client.once('close', () => socket.destroy())
      return socket
    }
    Promise.resolve(serve(client, open)).catch(() => client.resetAndDestroy())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    disconnect: () => {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((done) => server.close(() => done()))
    },
  }
}
