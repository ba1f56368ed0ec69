import { AppError } from '@tenantry/crds/errors.ts'
import { fencedError, type Stamp } from '../fence.ts'
import type { Call, Link } from './client.ts'
import { CONTROL } from './control.ts'
import { isRefusedByItself } from './errors.ts'
import { join } from './join.ts'
import { literal } from './quote.ts'
import type { Slots } from './slots.ts'

/**
 * How old an answer may be when it is acted on. A process that was paused while it waited for one would otherwise, when it
 * goes on, believe what was true before another took over.
 */
const FRESH_MS = 1_000
/** One for an epoch to raise, one for an answer that came late. */
const LOOKS = 4

/** A link whose every write is admitted by the fence. All methods throw `Fenced` when the server has seen a higher epoch. */
export interface FencedLink extends Link {
  /** Makes sure that the next write may follow at once. */
  ready(call: Call): Promise<void>
  /** At most one row. Where there is one, a write that follows at once needs no look of its own: the epoch was read with it. */
  row<T>(sql: string, call: Call): Promise<T | undefined>
  /**
   * Runs an `INSERT … SELECT` that ends before its WHERE. It is refused by its own condition, and where it succeeds, the
   * next statement needs no look of its own.
   */
  insert(sql: string, call: Call): Promise<void>
  /** As `insert`, for a write that is sent elsewhere: with a condition that throws where it is to be refused. */
  conditional(write: (condition: string) => Promise<void>, call: Call): Promise<void>
}

/**
 * ClickHouse has neither transactions nor conditional DDL, so the stored epoch is read before each statement that writes, and
 * a statement follows only an answer younger than a second. Each answer admits one statement, wherever it came from: a read
 * that was due anyway, an insert with the epoch in its condition, or a look for its own sake. What remains is a statement that
 * was on its way when a newer leader raised the epoch: one for each batch that was being applied. docs/adr/0008-fencing.md
 * says why it does no harm.
 */
export interface Fence {
  ready(call: Call): Promise<void>
  /** As `ready`, and spends the answer. */
  admit(call: Call): Promise<void>
  /** Takes note of an epoch that was asked for at that time (`performance.now()`); raises it where it is lower. */
  note(stored: number, askedAt: number, call: Call): Promise<void>
  /** The condition held at that time. */
  passed(askedAt: number): void
  /** The condition did not hold: asks why. */
  doubt(call: Call): Promise<void>
  /** An expression for the stored epoch. */
  readonly epoch: string
  /** A condition that throws unless the stored epoch is the stamp's. */
  readonly condition: string
}

/** For one batch, whose statements follow one another. */
export function openFence(link: Link, stamp: Stamp, epochs = openEpochs(link)): Fence {
  let answeredAt = Number.NEGATIVE_INFINITY
  const epoch = `(SELECT max(epoch) FROM ${CONTROL}.fence WHERE fence = ${literal(stamp.fence)})`
  const isFresh = (): boolean => performance.now() - answeredAt < FRESH_MS
  const spend = (): void => {
    answeredAt = Number.NEGATIVE_INFINITY
  }
  const note: Fence['note'] = async (stored, askedAt, call) => {
    if (stored > stamp.epoch) throw fencedError(call.doing, stamp, stored)
    if (stored === stamp.epoch) answeredAt = askedAt
    else await raise(link, stamp, call)
  }
  const ready = async (call: Call): Promise<void> => {
    for (let look = 0; look < LOOKS && !isFresh(); look++) {
      const { stored, askedAt } = await epochs(stamp, call.signal)
      await note(stored, askedAt, call)
    }
    if (!isFresh()) throw tooSlow(call)
  }
  return {
    ready,
    admit: async (call) => {
      await ready(call)
      spend()
    },
    note,
    passed: (askedAt) => {
      answeredAt = askedAt
    },
    doubt: async (call) => {
      spend()
      await ready(call)
    },
    epoch,
    condition: `throwIf(${epoch} != ${stamp.epoch}) = 0`,
  }
}

/**
 * The same link behind the fence; without one, as it is for a session that has no epoch. A statement that is admitted goes out
 * at once: for a free connection it waits before, in `slots`.
 */
export function fencedLink(link: Link, fence: Fence | undefined, slots: Slots = (work) => work()): FencedLink {
  return fence ? guarded(link, fence, slots) : unguarded(link)
}

function unguarded(link: Link): FencedLink {
  return {
    ...link,
    ready: async () => undefined,
    row: async <T>(sql: string, call: Call) => (await link.rows<T>(sql, call))[0],
    insert: (sql, call) => link.run(sql, call),
    conditional: (write) => write('1'),
  }
}

function guarded(link: Link, fence: Fence, slots: Slots): FencedLink {
  return {
    ...link,
    ready: (call) => fence.ready(call),
    run: async (sql, call) => {
      // Asked for while others wait as well, so that one answer does for all of them; here it is asked for again if it grew old.
      await fence.ready(call)
      await slots(async () => {
        await fence.admit(call)
        await link.run(sql, call)
      })
    },
    row: async <T>(sql: string, call: Call) => {
      const askedAt = performance.now()
      const both = `SELECT found.*, toString(${fence.epoch}) AS stored_epoch FROM (${sql}) AS found`
      const [row] = await link.rows<T & { stored_epoch: string }>(both, call)
      if (row) await fence.note(Number(row.stored_epoch), askedAt, call)
      return row
    },
    insert: (sql, call) => conditional(fence, (condition) => link.run(`${sql} WHERE ${condition}`, call), call),
    conditional: (write, call) => conditional(fence, write, call),
  }
}

async function conditional(fence: Fence, write: (condition: string) => Promise<void>, call: Call): Promise<void> {
  for (let look = 0; look < LOOKS; look++) {
    const askedAt = performance.now()
    if (await admitsItself(write(fence.condition))) return fence.passed(askedAt)
    await fence.doubt(call)
  }
  throw tooSlow(call)
}

async function admitsItself(insertion: Promise<void>): Promise<boolean> {
  try {
    await insertion
    return true
  } catch (error) {
    if (isRefusedByItself(error)) return false
    throw error
  }
}

function raise(link: Link, { fence, epoch }: Stamp, { doing, signal }: Call): Promise<void> {
  const sql = `INSERT INTO ${CONTROL}.fence (fence, epoch) SELECT {fence:String}, {epoch:UInt64}`
  return link.run(sql, { doing: `${doing}: raise the fencing epoch`, signal, params: { fence, epoch } })
}

/** Tells the stored epoch, and when it was asked for. Who asks while others wait for an answer shares the next one. */
export type Epochs = (stamp: Stamp, signal: AbortSignal) => Promise<{ stored: number; askedAt: number }>

/** For all batches of a session. */
export function openEpochs(link: Link): Epochs {
  const read = join(async (fences: readonly string[]) => {
    const askedAt = performance.now()
    return { askedAt, rows: await readEpochs(link, [...new Set(fences)]) }
  })
  return async ({ fence }, signal) => {
    const { askedAt, rows } = await read(fence, signal)
    return {
      askedAt,
      stored: Math.max(0, ...rows.filter((row) => row.fence === fence).map(({ epoch }) => Number(epoch))),
    }
  }
}

/** One row for each raise that is not merged yet: looking for the greatest here costs the server less than a function there. */
function readEpochs(link: Link, fences: readonly string[]): Promise<readonly { fence: string; epoch: string }[]> {
  const names = fences.map(literal).join(', ')
  return link.rows(`SELECT fence, toString(epoch) AS epoch FROM ${CONTROL}.fence WHERE fence IN (${names})`, {
    doing: 'read the fencing epoch',
    signal: new AbortController().signal,
  })
}

function tooSlow({ doing }: Call): AppError {
  const message = `the server takes longer than ${FRESH_MS} ms to tell whether this process still leads; lower its load`
  return new AppError('Timeout', `${doing}: ${message}`)
}
