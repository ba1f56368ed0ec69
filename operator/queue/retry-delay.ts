export interface RetryDelayOptions {
  readonly random: () => number
  /** The first wait, in milliseconds; 5 when absent. */
  readonly shortestRetryMs?: number
  /** The longest wait, in milliseconds; 5 minutes when absent. */
  readonly longestRetryMs?: number
}

/** Makes the function that tells how many milliseconds to wait after so many earlier failures: doubling, with jitter. */
export function createRetryDelay(options: RetryDelayOptions): (failures: number) => number {
  const { shortestRetryMs = 5, longestRetryMs = 300_000, random } = options
  return (failures) => {
    // Half of the wait is certain, so that the pace falls; the other half is spread, so that no herd forms.
    const most = Math.min(2 * shortestRetryMs * 2 ** Math.min(failures, 30), longestRetryMs)
    return Math.max(shortestRetryMs, (most * (1 + random())) / 2)
  }
}
