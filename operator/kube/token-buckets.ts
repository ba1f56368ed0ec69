import type { Clock } from '../clock.ts'

/** Budgets by key. */
export interface TokenBuckets {
  /** Takes one token of the key's bucket; false when it is empty. */
  take(key: string): boolean
}

interface Bucket {
  tokens: number
  filledAt: number
}

const MOST_BUCKETS = 4_096

/** Makes buckets that start with `burst` tokens and gain one every `refillMs`. Full ones are forgotten when there are many. */
export function createTokenBuckets(
  clock: Clock,
  { burst, refillMs }: { burst: number; refillMs: number },
): TokenBuckets {
  const buckets = new Map<string, Bucket>()
  const level = ({ tokens, filledAt }: Bucket): number =>
    Math.min(burst, tokens + (clock.monotonic() - filledAt) / refillMs)
  const tidyUp = (): void => {
    for (const [key, bucket] of buckets) if (level(bucket) >= burst) buckets.delete(key)
    for (const key of buckets.keys()) {
      if (buckets.size <= MOST_BUCKETS) return
      buckets.delete(key)
    }
  }
  return {
    take: (key) => {
      const bucket = buckets.get(key) ?? { tokens: burst, filledAt: clock.monotonic() }
      const tokens = level(bucket)
      buckets.delete(key)
      buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, filledAt: clock.monotonic() })
      if (buckets.size > 2 * MOST_BUCKETS) tidyUp()
      return tokens >= 1
    },
  }
}
