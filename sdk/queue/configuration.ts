import type { Redis } from 'ioredis'
import { QueueError } from './errors.ts'
import type { Priority } from './sql/states.ts'

/** A queue as the database holds it; a limit of null is none. */
export interface QueueRow {
  readonly name: string
  readonly priority: number
  readonly paused: boolean
  readonly concurrency: number | null
  readonly per_tenant: number | null
  readonly timeout_ms: number
  readonly attempts: number
  readonly backoff_ms: number
  readonly backoff_limit_ms: number
}

/** A tenant's share and limits; queue '' stands for all queues. */
export interface QuotaRow {
  readonly queue: string
  readonly tenant: string
  readonly weight: number
  readonly concurrency: number | null
  readonly rate: number | null
  readonly burst: number | null
  readonly paused: boolean
}

/** All that claims and retries go by. */
export interface Configuration {
  readonly queues: readonly QueueRow[] | null
  readonly quotas: readonly QuotaRow[] | null
  readonly payloadLimit: number
}

/** What Redis has to know of it: only what differs from a queue and a tenant without limits. */
export function limitFields({ queues, quotas }: Configuration): readonly string[] {
  const text = (...values: readonly (number | boolean | null)[]): string =>
    values.map((value) => (value === null ? '' : String(Number(value)))).join('|')
  return [
    ...(queues ?? [])
      .filter((q) => q.concurrency !== null || q.per_tenant !== null || q.paused)
      .flatMap((q) => [`q\0${q.name}`, text(q.concurrency, q.per_tenant, q.paused)]),
    ...(quotas ?? []).flatMap((a) => [
      `w\0${a.queue}\0${a.tenant}`,
      text(a.weight, a.concurrency, a.rate, a.burst, a.paused),
    ]),
  ]
}

/** How a queue is to be; what is left out stays as it is, null takes a limit away. Times in milliseconds. */
export interface QueueSettings {
  readonly priority?: Priority
  /** How many of its jobs run at once, over all workers. */
  readonly concurrency?: number | null
  readonly perTenantConcurrency?: number | null
  readonly timeout?: number
  readonly attempts?: number
  readonly backoff?: number
  readonly backoffLimit?: number
  readonly paused?: boolean
}

/** A tenant's share and limits; what is left out stays as it is, null takes a limit away. */
export interface QuotaSettings {
  /** Jobs in relation to other tenants, 0.001 to a million; 1 where nobody says. */
  readonly weight?: number
  readonly concurrency?: number | null
  /** Jobs a second, on the average. */
  readonly rate?: number | null
  /** Jobs at once after a pause; the rate where it is left out, and at least 1. */
  readonly burst?: number | null
  readonly paused?: boolean
}

/** Refuses a number that is none, or is outside of what the setting takes. */
export function checkNumbers(subject: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== 'number' || (Number.isFinite(value) && value > 0)) continue
    throw new QueueError('InvalidOptions', `${subject}: ${name} is ${value}, and must be a number above 0`)
  }
}

/** What the fast path asks of its server: a server that evicts keys forgets hints that nobody misses for a while. */
export async function evictionOf(redis: Redis): Promise<string> {
  const answer = await redis.config('GET', 'maxmemory-policy')
  return String((answer as unknown[])[1] ?? '')
}
