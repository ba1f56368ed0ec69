import { once } from 'node:events'
import { hostname } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Core } from '../core.ts'

/** Cells that both threads see: the worker's number, until when it surely holds its lease, and when the main thread was last at work. */
export const SHARED = { worker: 0, heldUntil: 1, mainSeen: 2 } as const
export type Shared = BigInt64Array<SharedArrayBuffer>

/** What the thread is started with, beside how to connect. */
export interface ThreadData {
  readonly schema: string
  readonly leaseMs: number
  readonly stallMs: number
  readonly shared: SharedArrayBuffer
}

interface Options {
  readonly leaseMs: number
  readonly stallMs: number
  /** The lease ran out: whatever this process runs is another's by now. A new number follows. */
  readonly onExpired: () => void
}

/** This process in the eyes of the database. */
export interface Membership {
  /** The worker's number; it changes when the lease ran out. */
  readonly id: () => number
  /** Registers again now, where the database said that the lease ran out. */
  readonly expired: (id: number) => Promise<void>
  /** False once the lease may have run out, by this process' clock. */
  readonly held: () => boolean
  readonly end: () => Promise<void>
}

/** Registers the process and keeps its lease until `end`. */
export async function joinWorkers(core: Core, { leaseMs, stallMs, onExpired }: Options): Promise<Membership> {
  const { store, pool } = core
  const shared = new SharedArrayBuffer(8 * Object.keys(SHARED).length)
  const cells: Shared = new BigInt64Array(shared)
  const register = async (): Promise<void> => {
    const began = Date.now()
    const id = await store.value<number>(pool, 'register', `${hostname()} ${process.pid}`, leaseMs)
    Atomics.store(cells, SHARED.heldUntil, BigInt(began + leaseMs))
    Atomics.store(cells, SHARED.worker, BigInt(id))
  }
  const seen = (): void => void Atomics.store(cells, SHARED.mainSeen, BigInt(Date.now()))
  seen()
  await register()
  const current = (): number => Number(Atomics.load(cells, SHARED.worker))
  let renewing: Promise<void> | undefined
  const expired = (id: number): Promise<void> => {
    if (id !== current()) return renewing ?? Promise.resolve()
    renewing ??= (async () => {
      onExpired()
      await register()
    })().finally(() => {
      renewing = undefined
    })
    return renewing
  }
  const { postgres } = core.options
  const thread = new Worker(new URL('./heartbeat-thread.ts', import.meta.url), {
    workerData: { postgres, schema: store.schema, leaseMs, stallMs, shared },
  })
  thread.on('error', (error) => core.report(error, 'keep the lease of the worker'))
  // A handler may keep this thread busy from the first job on: the other one has to beat before that.
  await once(thread, 'message')
  thread.on('message', (id: number) => void expired(id).catch((error) => core.report(error, 'register the worker')))
  thread.unref()
  const timer = setInterval(seen, Math.min(1000, leaseMs / 5))
  return {
    id: current,
    expired,
    held: () => Date.now() < Number(Atomics.load(cells, SHARED.heldUntil)),
    async end() {
      clearInterval(timer)
      await thread.terminate()
      await store.value(pool, 'retire', current()).catch((error) => core.report(error, 'retire the worker'))
    },
  }
}
