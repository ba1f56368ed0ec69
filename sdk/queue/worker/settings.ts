import type { Configuration, QueueRow } from '../configuration.ts'
import type { Core } from '../core.ts'
import { PAYLOAD_LIMIT } from '../sql/tables.ts'

/** What a worker goes by that operators may change while it runs. */
export interface Settings {
  readonly queueOf: (name: string) => QueueRow | undefined
  readonly payloadLimit: () => number
  readonly limited: () => boolean
  readonly refresh: () => Promise<void>
}

/** Reads the settings; `refresh` reads them again, and keeps those it has where that fails. */
export async function openSettings(core: Core): Promise<Settings> {
  const load = async () => {
    const found = await core.store.value<Configuration>(core.pool, 'configuration')
    const queues = new Map((found.queues ?? []).map((queue) => [queue.name, queue]))
    const limited =
      (found.quotas ?? []).length > 0 ||
      [...queues.values()].some((q) => q.paused || q.concurrency !== null || q.per_tenant !== null)
    return { queues, limited, payloadLimit: found.payloadLimit ?? PAYLOAD_LIMIT }
  }
  let current = await load()
  return {
    queueOf: (name) => current.queues.get(name),
    payloadLimit: () => current.payloadLimit,
    limited: () => current.limited,
    refresh: async () => {
      try {
        current = await load()
      } catch (error) {
        core.report(error, 'read the configuration of the queues')
      }
    },
  }
}
