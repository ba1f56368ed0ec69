import { Cron } from 'croner'
import { QueueError } from './errors.ts'

/** The next time of a schedule after `now`; undefined where there is none. Throws where the schedule or the zone cannot be read. */
export function nextTick(schedule: string, timezone: string, now: Date): Date | undefined {
  try {
    return new Cron(schedule, { timezone, paused: true }).nextRun(now) ?? undefined
  } catch (error) {
    throw new QueueError('InvalidCron', `read the schedule ${schedule} in zone ${timezone}: ${String(error)}`, error)
  }
}

/** The first time of a new schedule. Throws where it never comes due. */
export function firstTick(schedule: string, timezone: string, now: Date): Date {
  const next = nextTick(schedule, timezone, now)
  if (next !== undefined) return next
  throw new QueueError('InvalidCron', `the schedule ${schedule} in zone ${timezone} never comes due: correct it`)
}
