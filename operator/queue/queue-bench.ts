import { FakeClock, settle } from './fake-clock.ts'
import { type RunOptions, WorkQueue, type WorkQueueOptions } from './work-queue.ts'

/** A queue under test, with a clock that stands still. */
export interface QueueBench {
  readonly clock: FakeClock
  readonly queue: WorkQueue
  /** The keys whose runs have started, in order. */
  readonly started: readonly string[]
  /** The runs under way. */
  readonly open: ReadonlyMap<string, { readonly signal: AbortSignal }>
  begin(): Promise<void>
  /** Ends a run, with an error if given, and lets the queue take notice. */
  end(key: string, error?: Error): Promise<void>
}

/** Makes a queue whose runs go on until the test ends them. For tests. */
export function bench(options: Partial<RunOptions & WorkQueueOptions> = {}): QueueBench {
  const clock = new FakeClock()
  const queue = new WorkQueue({ clock, random: () => 0, ...options })
  const started: string[] = []
  const open = new Map<string, { signal: AbortSignal; resolve: () => void; reject: (error: Error) => void }>()
  const work = (key: string, signal: AbortSignal): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    started.push(key)
    open.set(key, { signal, resolve, reject })
    return promise
  }
  return {
    clock,
    queue,
    started,
    open,
    begin: () => queue.run(work, { concurrency: 1, deadlineMs: 60_000, ...options }),
    end: async (key, error) => {
      const run = open.get(key)
      open.delete(key)
      if (error) run?.reject(error)
      else run?.resolve()
      await settle()
    },
  }
}
