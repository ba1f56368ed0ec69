import type { Log } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { createInformer } from './reflector.ts'
import { LEASES } from './types.ts'

export interface Vacancy {
  /** Aborts when the Lease is seen without a holder the next time. */
  next(): AbortSignal
  close(): void
}

/**
 * Follows one Lease, so that whoever waits for it need not find out by asking that it was given up. What is told is a hint: who
 * gets it is decided by writing it.
 */
export function watchVacancy(
  client: KubeClient,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  log: Log,
): Vacancy {
  const over = new AbortController()
  let next = new AbortController()
  const informer = createInformer({ client, type: LEASES, namespace, fieldSelector: `metadata.name=${name}`, log })
  informer.store.onChange(({ type, object }) => {
    if (type !== 'deleted' && object.spec?.holderIdentity) return
    next.abort()
  })
  informer.start(over.signal)
  return {
    next: () => {
      if (next.signal.aborted) next = new AbortController()
      return next.signal
    },
    close: () => over.abort(),
  }
}
