import type { QueueSettings, QuotaSettings } from './configuration.ts'
import { checkNumbers } from './configuration.ts'
import type { Core } from './core.ts'
import { firstTick } from './cron.ts'
import { encodeJob, type JobOptions } from './jobs.ts'
import { type JobEvent, type JobFilter, type JobView, type QueueStats, readEvent, readJob, readStats } from './read.ts'
import { PRIORITIES, STATES } from './sql/states.ts'
import { PAYLOAD_LIMIT } from './sql/tables.ts'
import { arrayText, type Outcome } from './store.ts'

const PAGE = 1000

/** A job that a schedule enqueues. */
export interface CronJob extends JobOptions {
  readonly name: string
  readonly payload: unknown
}

/** How long history is kept, in words of Postgres: `7 days`. */
export interface Retention {
  readonly finished: string
  readonly dead: string
  readonly events: string
}

/** Looking at and steering a queue. A tenant's login finds, reads and cancels its own jobs, and may do nothing else of it. */
export interface Admin {
  /** Cancels jobs that have not ended; one that runs is aborted. Resolves to the ids of those that it cancelled. */
  cancel(ids: readonly string[]): Promise<readonly string[]>
  /** Makes dead jobs ready again; resolves to how many. */
  redrive(filter?: JobFilter): Promise<number>
  /** Stops claims of a queue, of a tenant in it, or of a tenant everywhere; what runs goes on. */
  pause(what: { readonly queue?: string; readonly tenant?: string }): Promise<void>
  resume(what: { readonly queue?: string; readonly tenant?: string }): Promise<void>
  /** Makes a queue, or changes the settings that are named. */
  setQueue(name: string, settings?: QueueSettings): Promise<void>
  /** A tenant's share and limits in a queue; in all queues that have no own entry for it where none is named. */
  setQuota(tenant: string, settings: QuotaSettings, queue?: string): Promise<void>
  /** Enqueues a job at the times of a schedule in cron's notation, once for each time. Throws where it never comes due. */
  setCron(name: string, schedule: string, job: CronJob, timezone?: string): Promise<void>
  dropCron(name: string): Promise<boolean>
  find(filter?: JobFilter, most?: number): Promise<readonly JobView[]>
  events(id: string): Promise<readonly JobEvent[]>
  stats(): Promise<readonly QueueStats[]>
  /** Removes the days that are older, but no job that lives. Resolves to the partitions that are gone. */
  retain(retention: Retention): Promise<readonly string[]>
}

export function createAdmin(core: Core): Admin {
  const { store, pool } = core
  const setPaused = (queue: string | undefined, tenant: string | undefined, paused: boolean): Promise<void> =>
    tenant === undefined
      ? store.value(pool, 'set_queue', queue ?? 'default', JSON.stringify({ paused }))
      : store.value(pool, 'set_quota', queue ?? '', tenant, JSON.stringify({ paused }))
  return {
    async cancel(ids) {
      const outcome = await store.value<Outcome & { ids: readonly string[] | null }>(pool, 'cancel', arrayText(ids))
      await core.tell(outcome)
      return outcome.ids ?? []
    },
    async redrive(filter = {}) {
      for (let total = 0; ; ) {
        const outcome = await store.value<Outcome & { count: number }>(pool, 'redrive', filterText(filter), PAGE)
        await core.tell(outcome)
        total += outcome.count
        if (outcome.count < PAGE) return total
      }
    },
    pause: ({ queue, tenant }) => setPaused(queue, tenant, true),
    resume: ({ queue, tenant }) => setPaused(queue, tenant, false),
    async setQueue(name, settings = {}) {
      checkNumbers(`set queue ${name}`, { ...settings })
      await store.value(pool, 'set_queue', name, JSON.stringify(queueColumns(settings)))
    },
    async setQuota(tenant, settings, queue = '') {
      checkNumbers(`set the quota of ${tenant}`, { ...settings })
      await store.value(pool, 'set_quota', queue, tenant, JSON.stringify(settings))
    },
    async setCron(name, schedule, job, timezone = 'UTC') {
      const first = firstTick(schedule, timezone, new Date())
      await store.value(pool, 'set_cron', name, schedule, timezone, encodeJob(job, PAYLOAD_LIMIT), first)
    },
    dropCron: (name) => store.value(pool, 'drop_cron', name),
    find: async (filter = {}, most = 100) => (await store.rows(pool, 'find', filterText(filter), most)).map(readJob),
    events: async (id) => (await store.rows(pool, 'events', id)).map(readEvent),
    stats: () => readStats(pool, store.schema),
    async retain({ finished, dead, events }) {
      return (await store.value<{ dropped: readonly string[] }>(pool, 'retain', finished, dead, events)).dropped
    },
  }
}

function filterText(filter: JobFilter): string {
  return JSON.stringify({ ...filter, ...(filter.state !== undefined && { state: STATES[filter.state] }) })
}

function queueColumns(settings: QueueSettings): Readonly<Record<string, unknown>> {
  const { priority, perTenantConcurrency, timeout, backoff, backoffLimit, ...same } = settings
  return {
    ...same,
    ...(priority !== undefined && { priority: PRIORITIES[priority] }),
    ...(perTenantConcurrency !== undefined && { per_tenant: perTenantConcurrency }),
    ...(timeout !== undefined && { timeout_ms: timeout }),
    ...(backoff !== undefined && { backoff_ms: backoff }),
    ...(backoffLimit !== undefined && { backoff_limit_ms: backoffLimit }),
  }
}
