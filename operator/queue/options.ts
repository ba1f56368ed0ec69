export interface AddOptions {
  /** Higher runs first. Of two for the same key the higher counts. */
  readonly priority?: number
  /** Of two for the same key the shorter counts. */
  readonly afterMs?: number
}

export interface RunOptions {
  /** How many keys run at a time. */
  readonly concurrency: number
  /** After how many milliseconds the signal of a run aborts. The key counts as running until its promise settles. */
  readonly deadlineMs: number
  /** The bulkhead: a key runs only while each of its lanes has fewer than `laneConcurrency` runs. */
  readonly lanes?: (key: string) => readonly string[]
  readonly laneConcurrency?: number
}

/** At which priority, and as which attempt since the key last succeeded; the first is 1. */
export type RunInfo = Readonly<{ priority: number; attempt: number }>

/** What the queue does for a key. It should add the key again where more is to do; when it throws, the key is retried. */
export type Work = (key: string, signal: AbortSignal, info: RunInfo) => Promise<void>
