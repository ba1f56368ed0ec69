import type { Core } from '../core.ts'
import { QueueError } from '../errors.ts'
import { arrayText, type Claimed } from '../store.ts'
import { createFetcher } from './fetcher.ts'
import { createFinisher, type Finisher } from './finisher.ts'
import type { AnyHandlers, Worker, WorkerOptions } from './handlers.ts'
import { joinWorkers } from './heartbeat.ts'
import { createLoop, type Loop, type Parts } from './loop.ts'
import { createRunner } from './runner.ts'
import { openSettings } from './settings.ts'
import { createShelf } from './shelf.ts'
import { keepUp } from './upkeep.ts'

const SETTINGS_MS = 2000
/** Jobs that ran for so long are asked for, whether they are still ours. */
const CHECK_MS = 1000
/** After so long without use, prefetched jobs go back to where others can take them. */
const SHELF_MS = 500

/** Registers this process and works until it is stopped. */
export async function startWorker(core: Core, handlers: AnyHandlers, given: WorkerOptions = {}): Promise<Worker> {
  const options = withDefaults(given)
  const settings = await openSettings(core)
  const finisher = createFinisher(core)
  const stopping = new AbortController()
  const shelf = createShelf(options.prefetch)
  const membership = await joinWorkers(core, {
    leaseMs: options.lease,
    stallMs: options.stall,
    onExpired: () => {
      shelf.empty()
      runner.drop([...runner.running.keys()], 'the lease of its worker ran out')
    },
  })
  const runner = createRunner({
    core,
    handlers,
    finisher,
    worker: membership.id,
    queueOf: settings.queueOf,
    payloadLimit: settings.payloadLimit,
    onFree: () => loop.pump(),
  })
  const fetcher = createFetcher(core, given.queues ?? [])
  const parts: Parts = { core, membership, fetcher, runner, shelf, options, limited: settings.limited }
  const loop: Loop = createLoop(parts, stopping.signal)
  const work: Work = {
    parts,
    loop,
    finisher,
    stopping,
    upkeep: keepUp(core, membership.id, stopping.signal),
    timers: [],
  }
  work.timers.push(...startTimers(work, settings.refresh))
  loop.pump()
  let ended: Promise<void> | undefined
  return {
    stats: () => ({ ...runner.counts, running: runner.running.size, held: shelf.size() }),
    stop: (graceMs = 25_000) => {
      ended ??= end(work, graceMs)
      return ended
    },
  }
}

interface Work {
  readonly parts: Parts
  readonly loop: Loop
  readonly finisher: Finisher
  readonly stopping: AbortController
  readonly upkeep: Promise<void>
  readonly timers: NodeJS.Timeout[]
}

function startTimers(work: Work, refresh: () => Promise<void>): NodeJS.Timeout[] {
  const { parts, loop } = work
  return [
    setInterval(() => void refresh(), SETTINGS_MS),
    setInterval(
      () => void dropStrays(parts).catch((error) => parts.core.report(error, 'check running jobs')),
      CHECK_MS,
    ),
    setInterval(() => {
      void handBack(work, parts.shelf.unused(SHELF_MS))
      // The lease may have come back.
      loop.pump()
    }, SHELF_MS / 2),
  ]
}

async function handBack({ parts, finisher }: Work, jobs: readonly Claimed[]): Promise<void> {
  const { core, membership } = parts
  await finisher.release(membership.id(), jobs).catch((error) => core.report(error, 'hand back jobs'))
}

async function end(work: Work, graceMs: number): Promise<void> {
  const { parts, loop, finisher, stopping, upkeep, timers } = work
  const { runner, shelf, membership } = parts
  stopping.abort()
  await Promise.all([upkeep, loop.idle()])
  await handBack(work, shelf.empty())
  const giveUpAt = performance.now() + graceMs
  while (runner.running.size > 0 && performance.now() < giveUpAt) await new Promise((wake) => setTimeout(wake, 10))
  const rest = [...runner.running.values()].filter(({ settled }) => !settled).map(({ job }) => job)
  runner.drop([...runner.running.keys()], 'its worker was stopped')
  await handBack(work, rest)
  await finisher.drain()
  for (const timer of timers) clearInterval(timer)
  await membership.end()
}

function withDefaults(given: WorkerOptions): Parts['options'] {
  const { concurrency = 100, batch = 200, lease = 15_000, stall = 300_000, poll = 100, prefetch = batch } = given
  for (const [name, value] of Object.entries({ concurrency, batch, lease, stall, poll, prefetch })) {
    if (Number.isSafeInteger(value) && value >= (name === 'prefetch' ? 0 : 1)) continue
    throw new QueueError('InvalidOptions', `start a worker: ${name} is ${value}, and must be a whole number above 0`)
  }
  return { concurrency, batch: Math.min(batch, 1000), lease, stall, poll, prefetch }
}

/** Jobs that were cancelled or given to another worker are aborted here. */
async function dropStrays({ core, runner, membership }: Parts): Promise<void> {
  const before = performance.now() - CHECK_MS
  const old = [...runner.running.values()].filter((one) => one.startedAt < before && !one.settled)
  if (old.length === 0) return
  const ids = arrayText(old.map(({ job }) => job.id))
  const epochs = arrayText(old.map(({ job }) => job.epoch))
  const strays = await core.store.rows<[string]>(core.pool, 'strays', membership.id(), ids, epochs)
  const lost = new Set(strays.map(([id]) => id))
  const still = old.filter(
    ({ job, settled }) => lost.has(job.id) && !settled && runner.running.get(job.id)?.job.epoch === job.epoch,
  )
  runner.drop(
    still.map(({ job }) => job.id),
    'it was cancelled or given to another worker',
  )
}
