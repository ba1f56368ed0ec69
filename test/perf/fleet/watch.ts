/** Follows an operator's metrics until it has nothing left to do. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Counters, growth } from '../metrics.ts'
import { comparisons, loopDelayMs, reads, reconciles, underWay, wholeReads } from './counters.ts'
import type { OperatorProcess } from './operator-process.ts'

/** Often enough for a figure of seconds, seldom enough that counting conditions at each scrape costs little. */
const POLL_MS = 250
const STUCK_MS = 300_000

export interface Busy {
  /** From the first sign of work to the last, what was idle in between left out. */
  readonly busyMs: number
  /** `performance.now()` when it was seen to be done. */
  readonly endedAt: number
  readonly before: Counters
  readonly after: Counters
  /** The greatest seen. */
  readonly loopDelayMs: number
}

export interface Goal {
  /** Whole reads of shards and comparisons of tenants' parts that there have to be since the beginning. */
  readonly wholeReads: number
  readonly comparisons: number
  readonly signal: AbortSignal
  /** Told of each interval in which something was done, in `performance.now()`. */
  readonly onBusy?: (from: number, to: number) => void
}

/** Waits until so much was done and nothing is left. `start`: where counting begins; by default now. */
export async function untilDone(operator: OperatorProcess, goal: Goal, start?: Counters): Promise<Busy> {
  const before = start ?? (await first(operator, goal.signal))
  const state = { last: before, lastAt: performance.now(), movedAt: performance.now(), busyMs: 0, loopDelayMs: 0 }
  for (;;) {
    await sleep(POLL_MS, undefined, { signal: goal.signal })
    const at = performance.now()
    const seen = await operator.counters()
    if (!seen) continue
    note(state, seen, at, goal)
    const grown = growth(before, seen)
    const enough = wholeReads(grown) >= goal.wholeReads && comparisons(grown) >= goal.comparisons
    const { busyMs, loopDelayMs } = state
    if (enough && underWay(seen) === 0) return { busyMs, loopDelayMs, endedAt: at, before, after: seen }
    if (at - state.movedAt > STUCK_MS) throw stuck(grown, goal)
  }
}

interface State {
  last: Counters
  lastAt: number
  movedAt: number
  busyMs: number
  loopDelayMs: number
}

/** Any sign of work since the last look makes the whole interval a busy one. */
function note(state: State, seen: Counters, at: number, { onBusy }: Goal): void {
  const moved = [reconciles, comparisons, reads].some((count) => count(seen) !== count(state.last))
  if (moved || underWay(seen) > 0) {
    state.busyMs += at - state.lastAt
    onBusy?.(state.lastAt, at)
  }
  if (moved) state.movedAt = at
  state.last = seen
  state.lastAt = at
  state.loopDelayMs = Math.max(state.loopDelayMs, loopDelayMs(seen))
}

async function first(operator: OperatorProcess, signal: AbortSignal): Promise<Counters> {
  for (;;) {
    const counters = await operator.counters()
    if (counters) return counters
    await sleep(POLL_MS, undefined, { signal })
  }
}

function stuck(grown: Counters, goal: Goal): Error {
  const done = `${wholeReads(grown)} of ${goal.wholeReads} whole reads and ${comparisons(grown)} of ${goal.comparisons} comparisons`
  return new Error(`the operator does nothing any more after ${done}`)
}
