import { AppError } from '@tenantry/crds/errors.ts'
import type { KubeClient } from './client.ts'

/**
 * A client that writes only while a term lasts. The API server knows nothing of epochs: a process that was frozen, and wakes up
 * after another has taken over, must notice by its own clock before it sends what it was about to. Throws `Fenced`.
 */
export function writesInTerm(client: KubeClient, isOver: () => boolean): KubeClient {
  const guarded =
    <A extends readonly unknown[], R>(write: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (!isOver()) return await write(...args)
      throw new AppError(
        'Fenced',
        'write to the Kubernetes API: this process leads no more; the one that does will see to it',
      )
    }
  return {
    ...client,
    create: guarded(client.create) as KubeClient['create'],
    apply: guarded(client.apply) as KubeClient['apply'],
    patch: guarded(client.patch) as KubeClient['patch'],
    remove: guarded(client.remove),
  }
}
