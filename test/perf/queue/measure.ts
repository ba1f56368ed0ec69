import { percentile } from '../statistics.ts'
import type { Side } from './sides.ts'

/** One round of one side. Rates a second, latencies in milliseconds, CPU of this process in microseconds a job. */
export interface Round {
  readonly single: number
  readonly bulk: number
  readonly process: number
  readonly p50: number
  readonly p99: number
  readonly cpu: number
}

export interface Sizes {
  readonly jobs: number
  readonly singles: number
  readonly latencies: number
}

const IN_FLIGHT = 16
const BULK = 1000

/** Single and bulk enqueueing, draining a backlog until the store says so, and the start of single jobs on the idle worker. */
export async function measure(side: Side, { jobs, singles, latencies }: Sizes, signal: AbortSignal): Promise<Round> {
  let begun = (_: number): void => undefined
  const single = await timed(singles, () => addSingles(side, singles))
  const bulk = await timed(jobs, async () => {
    for (let from = 0; from < jobs; from += BULK) await side.bulk(singles + from, Math.min(BULK, jobs - from))
  })
  signal.throwIfAborted()
  const before = process.cpuUsage()
  const processed = await timed(jobs + singles, async () => {
    const seen = new Set<number>()
    await side.work((i) => {
      seen.add(i)
      begun(i)
    })
    while (seen.size < jobs + singles || (await side.left()) > 0) await pause(5)
  })
  const { user, system } = process.cpuUsage(before)
  const waits: number[] = []
  for (let i = 0; i < latencies + 20; i++) {
    signal.throwIfAborted()
    const id = singles + jobs + i
    const started = new Promise<number>((resolve) => {
      begun = (seen) => seen === id && resolve(performance.now())
    })
    const asked = performance.now()
    await side.add(id)
    // The first ones warm up.
    const wait = (await started) - asked
    if (i >= 20) waits.push(wait)
    await pause(2)
  }
  return {
    single,
    bulk,
    process: processed,
    p50: percentile(waits, 0.5),
    p99: percentile(waits, 0.99),
    cpu: (user + system) / (jobs + singles),
  }
}

async function addSingles(side: Side, count: number): Promise<void> {
  let next = 0
  const adder = async (): Promise<void> => {
    while (next < count) await side.add(next++)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, adder))
}

async function timed(count: number, work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return (count / (performance.now() - began)) * 1000
}

function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}
