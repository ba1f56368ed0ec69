import type { AppError } from '@tenantry/crds/errors.ts'

/** When to look at an object again, unless something happens before. */
export type Next =
  | { readonly when: 'event' }
  | { readonly when: 'backoff' }
  | { readonly when: 'after'; readonly ms: number }

/** Longest wait before something that only a person can mend is looked at again. */
const SLOW_MS = 60_000

/**
 * The next look after these errors: what may pass by itself is retried with backoff, the rest no later than the interval
 * of the Database and a minute, because not every cause can be watched.
 */
export function nextAfter(errors: readonly AppError[], waiting: boolean, intervalMs: number): Next {
  if (errors.some((error) => error.retry === 'backoff')) return { when: 'backoff' }
  if (waiting || errors.some((error) => error.retry === 'slow'))
    return { when: 'after', ms: Math.min(intervalMs, SLOW_MS) }
  return { when: 'event' }
}

/** The same, but no later than in `ms` milliseconds where that is given. */
export function sooner(next: Next, ms: number | undefined): Next {
  if (ms === undefined || next.when === 'backoff') return next
  return { when: 'after', ms: next.when === 'after' ? Math.min(next.ms, ms) : ms }
}
