/** A process that applies SQL files and ends itself at one of its queries. Started by tests only, with its orders as JSON. */
import { Client } from 'pg'
import type { Connection, Owner } from '../../model.ts'
import { postgres } from '../engine.ts'
import type { PgResource } from '../model.ts'

/** What the process is to do. It is killed before or after its n-th query, or while the server works at it. */
export interface KillOrders {
  readonly connection: Connection
  readonly options: Parameters<typeof postgres.connect>[1]
  readonly owner: Owner
  readonly wanted: readonly PgResource[]
  readonly scope: readonly string[]
  readonly at: number
  readonly when: 'before' | 'during' | 'after'
}

const orders: KillOrders = JSON.parse(process.argv[2] ?? '')
let queries = 0

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

// One signature of the many that query has: the engine waits for promises.
const plain = Client.prototype.query as (this: Client, ...of: unknown[]) => Promise<unknown>
const killing = function (this: Client, ...of: unknown[]): Promise<unknown> {
  queries += 1
  const isLast = queries === orders.at
  if (isLast && orders.when === 'before') die()
  const answer = plain.apply(this, of)
  if (isLast && orders.when === 'during') setTimeout(die, 2)
  return isLast && orders.when === 'after' ? answer.finally(die) : answer
}
Object.assign(Client.prototype, { query: killing })

const signal = AbortSignal.timeout(60_000)
const session = postgres.connect(orders.connection, orders.options)
const changes = postgres.diff(orders.owner, orders.wanted, await session.observe(orders.scope, signal))
// What was asked for up to here changes nothing.
queries = 0
const { failed } = await session.apply({ owner: orders.owner, changes, secrets: () => '' }, signal)
await session.close()
if (failed) throw failed.error
