import { createHash } from 'node:crypto'
import type { Config } from './config.ts'
import { type LeaderOptions, type Leadership, lead } from './kube/leader.ts'

/** The time in which this process may write. */
export type Term = Leadership

/** Waits for the term to begin; rejects when `signal` aborts first. Without election it begins at once. */
export async function beginTerm(
  config: Config,
  options: Omit<LeaderOptions, 'name' | 'namespace'> & { readonly namespace: string },
  signal: AbortSignal,
): Promise<Term> {
  if (config.leaderElection) return await lead({ ...options, name: leaseName(config) }, signal)
  const over = new AbortController()
  const end = (): void => over.abort()
  return {
    epoch: options.clock.now().getTime(),
    lost: over.signal,
    isOver: () => over.signal.aborted,
    end,
    release: async () => end(),
  }
}

/** Operators that look after different objects do not wait for each other. */
export function leaseName({ installation, selector }: Config): string {
  if (selector === '') return `tenantry-${installation}`
  return `tenantry-${installation}-${createHash('sha256').update(selector).digest('hex').slice(0, 8)}`
}
