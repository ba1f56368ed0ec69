import type { Core } from '../core.ts'
import type { FastPath } from '../fast/fast-path.ts'
import { arrayText, type Claimed, readClaim } from '../store.ts'

/** How often at most the valid generation is looked up while Redis refuses ours. */
const LOOK_UP_MS = 100

/** What a claim brought; `dry` where there was no more. */
export interface Catch {
  readonly jobs: readonly Claimed[]
  readonly dry: boolean
}

/** Claims jobs: by what Redis names, or from Postgres alone where there is no Redis or it cannot be used now. */
export interface Fetcher {
  fetch(worker: number, most: number): Promise<Catch>
  /** Waits until there may be work. `ms` is for where nothing can wake us. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function createFetcher(core: Core, queues: readonly string[]): Fetcher {
  const { fast } = core
  const take = taker(core, queues)
  const byHints = fast && hinted(core, fast, queues)
  let usable = false
  return {
    async fetch(worker, most) {
      const caught = await byHints?.(worker, most)
      usable = caught !== undefined
      return caught ?? take(worker, most)
    },
    async wait(ms, signal) {
      if (usable && fast !== undefined) await fast.wait(ms / 1000)
      else await nap(core, ms, signal)
    },
  }
}

/** From Postgres alone: tenants in turn, from the one after the last. */
function taker({ store, pool }: Core, queues: readonly string[]): (worker: number, most: number) => Promise<Catch> {
  let after = ''
  return async (worker, most) => {
    const rows = await store.rows<ClaimRow>(pool, 'take', worker, queues.length > 0 ? queues : null, most, after)
    const { jobs } = readClaim(rows)
    after =
      jobs
        .map(({ tenant }) => tenant)
        .toSorted()
        .at(-1) ?? ''
    return { jobs, dry: jobs.length === 0 }
  }
}

type Hinted = (worker: number, most: number) => Promise<Catch | undefined>

/** By what Redis names; undefined where it cannot be asked now. */
function hinted({ store, pool }: Core, fast: FastPath, queues: readonly string[]): Hinted {
  let generation = ''
  let lookedUpAt = Number.NEGATIVE_INFINITY
  const lookUp = async (): Promise<void> => {
    if (performance.now() - lookedUpAt < LOOK_UP_MS) return
    lookedUpAt = performance.now()
    const [row] = await store.rows<[string | null, string | null]>(pool, 'generation')
    generation = row?.[0] ?? ''
  }
  return async (worker, most) => {
    if (generation === '') await lookUp()
    const hints = await fast.claim(generation, most, queues)
    if ('unusable' in hints) return void (hints.unusable === 'generation' && (await lookUp()))
    const dry = hints.ids.length < most
    if (hints.ids.length === 0) return { jobs: [], dry }
    const rows = await store.rows<ClaimRow>(pool, 'claim', worker, arrayText(hints.ids.toSorted()))
    fast.confirm(hints.ids)
    const { jobs, held } = readClaim(rows)
    if (held.length > 0) await fast.hold(held)
    return { jobs, dry }
  }
}

type ClaimRow = Parameters<typeof readClaim>[0][number]

/** Sleeps until work was enqueued in this process, or for so long. */
function nap(core: Core, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer)
      stop()
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    const stop = core.onWork(wake)
    signal.addEventListener('abort', wake)
    if (signal.aborted) wake()
  })
}
