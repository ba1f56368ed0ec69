import type { ClientBase } from 'pg'
import { type Admin, createAdmin } from './admin.ts'
import { openCore, type QueueOptions } from './core.ts'
import { QueueError } from './errors.ts'
import type { Enqueued, JobInput, JobMap, JobOptions } from './jobs.ts'
import { type BatchOptions, createProducer } from './producer.ts'
import type { AnyHandlers, Handlers, Worker, WorkerOptions } from './worker/handlers.ts'
import { startWorker } from './worker/worker.ts'

/** A queue of an application's jobs. All functions throw QueueError. */
export interface Queue<Jobs extends JobMap> extends Admin {
  /** Enqueues one job; calls that come together share a transaction. */
  add<Name extends keyof Jobs & string>(name: Name, payload: Jobs[Name], options?: JobOptions): Promise<Enqueued>
  /** Enqueues many jobs in one transaction. */
  enqueue(jobs: readonly JobInput<Jobs>[], options?: BatchOptions<Jobs>): Promise<readonly Enqueued[]>
  /** Enqueues in the caller's own transaction: the jobs are there when it commits, and only then. */
  enqueue(tx: ClientBase, jobs: readonly JobInput<Jobs>[], options?: BatchOptions<Jobs>): Promise<readonly Enqueued[]>
  /** Works for the queue in this process until it is stopped. */
  worker(handlers: Handlers<Jobs>, options?: WorkerOptions): Promise<Worker>
  close(): Promise<void>
}

/** Opens a queue that installQueue made. Connects when it is first used. */
export function openQueue<Jobs extends JobMap>(options: QueueOptions): Queue<Jobs> {
  const core = openCore(options)
  const producer = createProducer<Jobs>(core)
  const workers = new Set<Worker>()
  let closed = false
  const requireOpen = (): void => {
    if (closed) throw new QueueError('Closed', 'use the queue: it was closed')
  }
  return {
    ...createAdmin(core),
    async add(name, payload, jobOptions = {}) {
      requireOpen()
      return await producer.add({ ...jobOptions, name, payload } as JobInput<Jobs>)
    },
    async enqueue(...args: EnqueueArguments<Jobs>) {
      requireOpen()
      return await (isJobs(args) ? producer.enqueue(args[0], args[1]) : producer.enqueueIn(...args))
    },
    async worker(handlers, workerOptions) {
      requireOpen()
      const worker = await startWorker(core, handlers as AnyHandlers, workerOptions)
      workers.add(worker)
      return worker
    },
    async close() {
      closed = true
      await producer.drain()
      await Promise.all([...workers].map((worker) => worker.stop()))
      await core.close()
    },
  }
}

type InOwn<Jobs extends JobMap> = readonly [jobs: readonly JobInput<Jobs>[], options?: BatchOptions<Jobs> | undefined]
type InCallers<Jobs extends JobMap> = readonly [
  tx: ClientBase,
  jobs: readonly JobInput<Jobs>[],
  options?: BatchOptions<Jobs> | undefined,
]
type EnqueueArguments<Jobs extends JobMap> = InOwn<Jobs> | InCallers<Jobs>

function isJobs<Jobs extends JobMap>(args: EnqueueArguments<Jobs>): args is InOwn<Jobs> {
  return Array.isArray(args[0])
}
