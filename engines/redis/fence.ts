import { AppError } from '@tenantry/crds/errors.ts'
import { fencedError, type Stamp } from '@tenantry/engines/fence.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import type { Redis } from 'ioredis'
import { toAppError } from './errors.ts'
import { addressOf, answer, type Command, connectOnce, exchange, type Reply, type Times, within } from './link.ts'

/** Where the highest epoch of a fence is kept. Outside every tenant's key space, because theirs begin with `{`. */
export function fenceKey(fence: string): string {
  return `tenantry:fence:${fence}`
}

/**
 * A connection whose every transaction is refused by the server once the stored epoch was raised past that of the writer:
 * the key is watched all the time. Who writes while another transaction is under way shares the next. A raise that comes between the look and EXEC makes EXEC fail, so nothing is ever
 * written by an epoch that is over. The stored epoch lives as long as the server's data: one that loses its keys (a restart
 * without persistence, a failover to a replica that lags) takes the next epoch that comes.
 */
export interface Fence {
  /** Runs the commands in one transaction, and raises the stored epoch in it where it is lower. Throws AppError; `Fenced` when it is higher. */
  write(stamp: Stamp, commands: readonly Command[], doing: string, signal: AbortSignal): Promise<unknown[]>
  close(): void
}

/** More raises than this between a look and EXEC do not happen: somebody plays with the key. */
const ATTEMPTS = 5

export function openFence(connection: Connection, times: Times): Fence {
  const where = addressOf(connection)
  const limit = times.connectTimeoutMs + times.statementTimeoutMs
  const waiting: Order[] = []
  let line: Line | undefined
  let busy = false
  let closed = false
  const forget = (): void => {
    line?.redis.disconnect()
    line = undefined
  }
  const ready = async (): Promise<Line> => {
    if (line && line.redis.status !== 'ready') forget()
    line ??= { redis: await connectOnce(connection, times, where) }
    if (!closed) return line
    forget()
    throw new AppError('Unreachable', `talk to ${where}: the session was closed`)
  }
  const serve = async (orders: readonly Order[]): Promise<void> => {
    try {
      await commitAll(await ready(), orders)
    } catch (error) {
      // What is watched is known only while every answer arrives.
      forget()
      for (const { reject } of orders) reject(toAppError(error, `talk to ${where}`))
    }
  }
  // One after the other, because a connection forgets at the first EXEC what it watches; who waits meanwhile goes together.
  const serveAll = async (): Promise<void> => {
    if (busy) return
    busy = true
    while (waiting.length > 0) await serve(nextGroup(waiting))
    busy = false
  }
  return {
    write(stamp, commands, doing, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<unknown[]>()
      const patience = AbortSignal.any([signal, AbortSignal.timeout(limit)])
      waiting.push({ stamp, commands, doing: `${doing} on ${where}`, patience, resolve, reject })
      void serveAll()
      return within(promise, limit, signal)
    },
    close() {
      closed = true
      forget()
    },
  }
}

interface Line {
  readonly redis: Redis
  /** The stored epoch as of the moment since which its key is watched; undefined while it is not. */
  seen?: number
}

interface Work {
  readonly stamp: Stamp
  readonly commands: readonly Command[]
  readonly doing: string
}

interface Order extends Work {
  readonly patience: AbortSignal
  readonly resolve: (answers: unknown[]) => void
  readonly reject: (error: AppError) => void
}

/** Takes the first of those that wait and all others of its epoch; whoever gave up is left out. */
function nextGroup(waiting: Order[]): readonly Order[] {
  const orders = waiting.splice(0).filter(({ patience }) => !patience.aborted)
  const epoch = orders[0]?.stamp.epoch
  waiting.push(...orders.filter(({ stamp }) => stamp.epoch !== epoch))
  return orders.filter(({ stamp }) => stamp.epoch === epoch)
}

/** Together, or one at a time where the server takes none of them: then each gets an error of its own. */
async function commitAll(line: Line, orders: readonly Order[]): Promise<void> {
  try {
    await commit(line, orders)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (orders.length > 1) for (const order of orders) await commitAll(line, [order])
    else orders[0]?.reject(error)
  }
}

/** Settles the orders, which have one epoch; throws an AppError where nothing of them was written. */
async function commit(line: Line, orders: readonly Order[]): Promise<void> {
  const [first] = orders
  if (!first) return
  const replies = await run(line, { ...first, commands: orders.flatMap(({ commands }) => commands) })
  let next = 0
  for (const order of orders) {
    settle(order, replies.slice(next, next + order.commands.length))
    next += order.commands.length
  }
}

function settle({ doing, resolve, reject }: Order, replies: readonly Reply[]): void {
  try {
    resolve(replies.map((reply) => answer(reply, doing)))
  } catch (error) {
    reject(toAppError(error, doing))
  }
}

async function run(line: Line, work: Work): Promise<readonly Reply[]> {
  const { stamp, doing } = work
  // What was seen before and refuses now may have been taken back since: look again before refusing.
  if (line.seen === undefined || line.seen > stamp.epoch) line.seen = await look(line.redis, work)
  for (let n = 0; n < ATTEMPTS; n++) {
    if (line.seen > stamp.epoch) throw fencedError(doing, stamp, line.seen)
    const replies = await transact(line, work, line.seen)
    if (replies) return replies
    line.seen ??= await look(line.redis, work)
  }
  throw new AppError('LockTimeout', `${doing}: key ${fenceKey(stamp.fence)} keeps changing; leave it to Tenantry`)
}

async function look(redis: Redis, { stamp, doing }: Work): Promise<number> {
  const key = fenceKey(stamp.fence)
  const [, watched, stored] = await exchange(redis, [['UNWATCH'], ['WATCH', key], ['GET', key]])
  answer(watched, doing)
  const epoch = epochIn(stored && answer(stored, doing))
  if (epoch !== undefined) return epoch
  throw new AppError('StatementFailed', `${doing}: key ${key} holds something that is no epoch; delete the key`)
}

/**
 * One round trip: the transaction, and the look for the next one behind it. Undefined when EXEC failed because the key had
 * changed.
 */
async function transact(line: Line, { stamp, commands, doing }: Work, seen: number): Promise<Reply[] | undefined> {
  const key = fenceKey(stamp.fence)
  const raise: Command[] = seen < stamp.epoch ? [['SET', key, String(stamp.epoch)]] : []
  const queued = [['MULTI'], ...raise, ...commands]
  delete line.seen
  const replies = await exchange(line.redis, [...queued, ['EXEC'], ['WATCH', key], ['GET', key]])
  const [executed, watched, stored] = replies.slice(queued.length)
  const next = isGood(watched) && isGood(stored) ? epochIn(stored.value) : undefined
  if (next !== undefined) line.seen = next
  for (const reply of replies.slice(0, queued.length)) answer(reply, doing)
  const results = answer(executed, doing)
  if (!Array.isArray(results)) return undefined
  return results.slice(raise.length).map((r) => (r instanceof Error ? { refused: r.message } : { value: r }))
}

function isGood(reply: Reply | undefined): reply is { readonly value: unknown } {
  return reply !== undefined && 'value' in reply
}

/** 0 where nothing is stored yet; undefined for what is no epoch. */
function epochIn(stored: unknown): number | undefined {
  if (stored === null) return 0
  return /^\d{1,15}$/.test(String(stored)) ? Number(stored) : undefined
}
