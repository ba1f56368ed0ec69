import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { toQueueError } from '../errors.ts'
import type { Freed, Group, Held, Outcome } from '../store.ts'

/** How long a claim in Redis may stay without Postgres' word before the leader asks for it. */
const CONFIRM_MS = 5000
/** How long Redis is left alone after it failed. */
const PAUSE_MS = 500
/** How long a flow waits that Postgres held back though Redis let it through. */
const HOLD_MS = 200

/** The functions that Redis needs, for an operator that loads them ahead. */
export const FAST_PATH_LIBRARY = ['claims.lua', 'changes.lua']
  .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
  .join('\n')

/** What claims by Redis answered: ids, or that Postgres has to be asked instead. */
export type Hints = { readonly ids: readonly string[] } | { readonly unusable: 'generation' | 'server' }

/**
 * Redis as a hint to what is ready. Whatever fails here costs time and no job: nothing throws but `call`, which is for the leader.
 */
export interface FastPath {
  readonly redis: Redis
  readonly base: string
  /** Tells what a change of jobs brought about. */
  tell(outcome: Outcome): Promise<void>
  claim(generation: string, most: number, queues: readonly string[]): Promise<Hints>
  /** Postgres decided on these ids: they need not be asked for again. Told with the next claim. */
  confirm(ids: readonly string[]): void
  hold(held: readonly Held[]): Promise<void>
  /** Waits for work, at most so many seconds. */
  wait(seconds: number): Promise<void>
  /** Calls a function of the library; loads the library where it is missing. */
  call(name: string, ...args: (string | number)[]): Promise<unknown>
  close(): void
}

/** Loads the library. Repeatable; other versions' libraries stay for those who still use them. */
export async function installFastPath(redis: Redis): Promise<void> {
  await redis.call('FUNCTION', 'LOAD', 'REPLACE', FAST_PATH_LIBRARY)
}

export function openFastPath(redis: Redis, base: string): FastPath {
  const blocking = lazyDuplicate(redis)
  let downUntil = 0
  const decided: string[] = []
  const call = async (name: string, ...args: (string | number)[]): Promise<unknown> => {
    const send = (): Promise<unknown> => redis.call('FCALL', `tenantry_queue_1_${name}`, 1, base, ...args)
    try {
      return await send()
    } catch (error) {
      if (!/function not found/i.test(String(error))) throw toQueueError(error, `${name} in Redis`)
    }
    await installFastPath(redis)
    return await send()
  }
  const attempt = async (name: string, ...args: (string | number)[]): Promise<unknown> => {
    if (performance.now() < downUntil || redis.status === 'end') return undefined
    try {
      return await call(name, ...args)
    } catch (error) {
      if (/GENERATION/.test(String(error))) return 'generation'
      downUntil = performance.now() + PAUSE_MS
      return undefined
    }
  }
  return {
    redis,
    base,
    call,
    async tell({ ready, freed, xid }) {
      await Promise.all([
        ready && ready.length > 0 && attempt('push', xid ?? '', ...ready.flat()),
        freed && freed.length > 0 && attempt('free', ...freed.flat()),
      ])
    },
    async claim(generation, most, queues) {
      const told = decided.splice(0, 4000)
      const answer = await attempt('claim', generation, most, CONFIRM_MS, queues.join('\0'), ...told)
      if (Array.isArray(answer)) return { ids: answer as string[] }
      decided.push(...told.slice(0, 4000))
      return { unusable: answer === 'generation' ? 'generation' : 'server' }
    },
    confirm: (ids) => {
      // Without Redis nobody takes them away; the leader will ask for them instead.
      if (decided.length < 20_000) decided.push(...ids)
    },
    hold: async (held) => void (await attempt('hold', HOLD_MS, ...groupsOf(held).flat())),
    wait: (seconds) => waitFor(blocking(), `${base}:wake`, seconds),
    close: () => blocking(true).disconnect(),
  }
}

/** A blocked connection can do nothing else. */
function lazyDuplicate(redis: Redis): (closing?: boolean) => Redis {
  let made: Redis | undefined
  return (closing = false) => {
    if (closing) return made ?? redis.duplicate({ lazyConnect: true })
    if (made === undefined || made.status === 'end') {
      made = redis.duplicate({ commandTimeout: 30_000, enableOfflineQueue: true, maxRetriesPerRequest: 1 })
      made.on('error', () => undefined)
    }
    return made
  }
}

async function waitFor(redis: Redis, key: string, seconds: number): Promise<void> {
  try {
    await redis.blpop(key, seconds)
  } catch {
    await new Promise((wake) => setTimeout(wake, PAUSE_MS))
  }
}

function groupsOf(held: readonly Held[]): readonly Group[] {
  const groups = Map.groupBy(held, ({ queue, priority, tenant }) => JSON.stringify([queue, priority, tenant]))
  return [...groups.values()].flatMap((jobs) => {
    const [first] = jobs
    if (first === undefined) return []
    return [[first.queue, first.priority, first.tenant, jobs.map(({ id }) => id).join(' ')] as const]
  })
}

/** Places of a list of the database, as arguments. */
export function flat(list: readonly Freed[] | null | undefined): readonly (string | number)[] {
  return (list ?? []).flat()
}
