import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Connection } from '@tenantry/engines/model.ts'

/** A way to a server that can stop forwarding without closing anything, as a lost network does. */
export interface HangingProxy {
  /** The way to that server from now on; to be called once. */
  lead<T extends Pick<Connection, 'host' | 'port'>>(to: T): T
  /** From now on nothing arrives, in neither direction, on old and new connections. */
  hang(): void
  /** Forwards again, what waited first. */
  resume(): void
  close(): Promise<void>
}

/** Listens on a free port of 127.0.0.1. */
export async function startProxy(): Promise<HangingProxy> {
  const sockets = new Set<Socket>()
  let hanging = false
  let target: Pick<Connection, 'host' | 'port'> = { host: '127.0.0.1', port: 0 }
  const server = createServer((client) => {
    const upstream = connect(target.port, target.host)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('data', (chunk) => void other.write(chunk))
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      if (hanging) socket.pause()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    lead: (to) => {
      target = to
      return { ...to, host: '127.0.0.1', port: (server.address() as AddressInfo).port }
    },
    hang: () => {
      hanging = true
      for (const socket of sockets) socket.pause()
    },
    resume: () => {
      hanging = false
      for (const socket of sockets) socket.resume()
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await once(server.close(), 'close')
    },
  }
}
