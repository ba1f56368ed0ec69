import { Session } from 'node:inspector/promises'
import type { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { getHeapSnapshot } from 'node:v8'

/** What can be taken of this process. Only one at a time: each method returns undefined while another is being taken. */
export interface Profiler {
  /** Where the time goes for so many seconds: JSON of a .cpuprofile. */
  cpu(seconds: number, signal: AbortSignal): Promise<string | undefined>
  /** What is allocated and kept within so many seconds, sampled: JSON of a .heapprofile. Stacks only, no values. */
  heap(seconds: number, signal: AbortSignal): Promise<string | undefined>
  /** Everything in memory, passwords included; the process stands still meanwhile. A .heapsnapshot. */
  snapshot(): Readable | undefined
}

const ALLOCATION_SAMPLE_BYTES = 32 * 1024

/** The methods reject with the reason of `signal` when it aborts. */
export function createProfiler(): Profiler {
  let busy = false
  const alone = async (take: () => Promise<string>): Promise<string | undefined> => {
    if (busy) return undefined
    busy = true
    try {
      return await take()
    } finally {
      busy = false
    }
  }
  return {
    cpu: (seconds, signal) => alone(() => takeCpu(seconds, signal)),
    heap: (seconds, signal) => alone(() => takeHeap(seconds, signal)),
    snapshot: () => {
      if (busy) return undefined
      busy = true
      return getHeapSnapshot().once('close', () => {
        busy = false
      })
    },
  }
}

async function takeCpu(seconds: number, signal: AbortSignal): Promise<string> {
  return await withSession(async (session) => {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
    await wait(seconds * 1000, undefined, { signal })
    const { profile } = await session.post('Profiler.stop')
    return JSON.stringify(profile)
  })
}

async function takeHeap(seconds: number, signal: AbortSignal): Promise<string> {
  return await withSession(async (session) => {
    await session.post('HeapProfiler.startSampling', { samplingInterval: ALLOCATION_SAMPLE_BYTES })
    await wait(seconds * 1000, undefined, { signal })
    const { profile } = await session.post('HeapProfiler.stopSampling')
    return JSON.stringify(profile)
  })
}

/** Disconnecting ends whatever the session has begun. */
async function withSession<T>(use: (session: Session) => Promise<T>): Promise<T> {
  const session = new Session()
  session.connect()
  try {
    return await use(session)
  } finally {
    session.disconnect()
  }
}
