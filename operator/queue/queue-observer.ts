import type { WorkQueue } from './work-queue.ts'

/** Told of what the queue does; all durations in milliseconds. */
export interface QueueObserver {
  /** The queue that this observer belongs to, for what is read and not told. */
  attached?(queue: WorkQueue): void
  added?(): void
  retried?(): void
  /** `waitedMs`: how long the key was ready before its run started. */
  started?(waitedMs: number): void
  finished?(tookMs: number): void
  /** The deadline of a run has passed. */
  timedOut?(): void
  /** A run threw: the queue retries it, for no key is ever lost. */
  failed?(key: string, error: unknown): void
}
