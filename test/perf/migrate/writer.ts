import type { Connection } from '@tenantry/engines/model.ts'
import { Client } from 'pg'

/** A client that writes without a pause. */
export interface Writer {
  /** Ends it and resolves to the longest time that one write took, in milliseconds; rejects when a write was refused. */
  stop(): Promise<number>
}

/** Inserts rows into the table `orders` of the login's schema, a few milliseconds apart, as a client with work to do would. */
export async function openWriter({ host, port, username: user, password, database }: Connection): Promise<Writer> {
  const client = new Client({ host, port, user, password, database })
  await client.connect()
  let longest = 0
  let isOver = false
  const write = async (): Promise<void> => {
    while (!isOver) {
      const begin = performance.now()
      await client.query(`INSERT INTO orders (note) VALUES ('x')`)
      longest = Math.max(longest, performance.now() - begin)
      await new Promise((wake) => setTimeout(wake, 5))
    }
  }
  const writing = write()
  // A refusal is told when the writer is stopped.
  writing.catch(() => undefined)
  return {
    stop: async () => {
      isOver = true
      await writing.finally(() => client.end())
      return longest
    },
  }
}
