import type { PoolClient } from 'pg'
import type { JobMap } from '../jobs.ts'

/** A number pair that only grows for a job: a system that keeps the highest it saw can refuse a worker that was replaced. */
export interface Fence {
  readonly id: string
  readonly epoch: number
}

/** What a handler knows of the job it runs, beside the payload. */
export interface JobContext {
  readonly fence: Fence
  readonly queue: string
  readonly tenant: string
  readonly name: string
  /** How often it failed before. */
  readonly attempt: number
  /** Aborted when the job was cancelled, given to another worker or ran out of time, and when this worker ends. */
  readonly signal: AbortSignal
  /** Stores a value that others can see; throws `Fenced` where the job is not ours any more. */
  progress(value: unknown): Promise<void>
  /**
   * Runs `work` in a transaction of the queue's database that completes the job as well, with what `work` returns as its result:
   * its effects happen exactly once. Throws `Fenced`, and nothing happened, where the job is not ours any more.
   */
  tx<T>(work: (client: PoolClient) => Promise<T>): Promise<T>
}

/** A function for each name of a job; what it returns is stored as the result. */
export type Handlers<Jobs extends JobMap> = {
  [Name in keyof Jobs & string]?: (payload: Jobs[Name], context: JobContext) => unknown
}

/** Handlers as the worker calls them. */
export type AnyHandlers = Readonly<Record<string, ((payload: unknown, context: JobContext) => unknown) | undefined>>

/** How a worker works. Times in milliseconds. */
export interface WorkerOptions {
  /** How many jobs run at once; 100 where nobody says. */
  readonly concurrency?: number
  /** The queues to work for; all where it is left out. */
  readonly queues?: readonly string[]
  /** The most jobs of one claim; 200 where nobody says. */
  readonly batch?: number
  /** Jobs held beside those that run, so that none waits for a claim; the same as `batch` where nobody says. */
  readonly prefetch?: number
  /** After so long without a sign the worker's jobs are given to others; 15 s where nobody says. */
  readonly lease?: number
  /** After so long in one turn of the event loop the process counts as hung; 5 minutes where nobody says. */
  readonly stall?: number
  /** How often to look for work where nothing wakes the worker; 100 ms where nobody says. */
  readonly poll?: number
}

/** A worker that runs. */
export interface Worker {
  /** Jobs that run now, that are held, and that were finished so far. */
  readonly stats: () => WorkerStats
  /** Takes no more jobs, gives back what it has not begun, and waits so many milliseconds (25 s) before it gives back the rest. */
  stop(graceMs?: number): Promise<void>
}

export interface WorkerStats {
  readonly running: number
  readonly held: number
  readonly completed: number
  readonly failed: number
  readonly fenced: number
  /** Handlers that did not end when their time was up: they still use memory, and their outcome is ignored. */
  readonly abandoned: number
}
