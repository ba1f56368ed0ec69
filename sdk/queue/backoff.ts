/** What a queue says of retries, in milliseconds. */
export interface BackoffPolicy {
  readonly base: number
  readonly limit: number
}

/**
 * The next delay in milliseconds, with decorrelated jitter: between the base and three times the delay before, so that jobs that
 * failed together do not come back together. `random` is in [0, 1).
 */
export function nextDelay(
  previous: number,
  { base, limit }: BackoffPolicy,
  random: () => number = Math.random,
): number {
  const most = Math.max(base, previous * 3)
  return Math.round(Math.min(limit, base + random() * (most - base)))
}
