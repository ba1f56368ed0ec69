import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Gives out IP addresses of this machine, one to each Pod. */
export interface Addresses {
  take(): Promise<string>
  giveBack(address: string): void
}

/**
 * Addresses out of 127.64.0.0/10, drawn at random so that two nodes on one machine do not meet. Where the system answers
 * on 127.0.0.1 alone (macOS) every Pod gets that, and two Pods cannot listen on the same port.
 */
export function createAddresses(): Addresses {
  const taken = new Set<string>()
  const draw = (): string => `127.${randomInt(64, 128)}.${randomInt(256)}.${randomInt(1, 255)}`
  return {
    take: async () => {
      let address = draw()
      while (taken.has(address)) address = draw()
      if (!(await isLocal(address))) return '127.0.0.1'
      taken.add(address)
      return address
    },
    giveBack: (address) => void taken.delete(address),
  }
}

function isLocal(address: string): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(0, address, () => server.close(() => resolve(true)))
  })
}
