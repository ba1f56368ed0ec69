import type { Answer } from './http.ts'
import { createProfiler, type Profiler } from './profile.ts'

/** Answers a debug request whose sender may make it. `gone` aborts when nobody waits for the answer any more. */
export type DebugRoute = (query: URLSearchParams, gone: AbortSignal) => Promise<Answer>

const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
const DEFAULT_SECONDS = 30
const MOST_SECONDS = 60

const BUSY: Answer = {
  status: 429,
  type: TEXT,
  body: 'another profile is being taken; try again when it is done\n',
  headers: { 'retry-after': String(MOST_SECONDS) },
}
const SNAPSHOTS_OFF: Answer = {
  status: 404,
  type: TEXT,
  body: 'heap snapshots hold every password in memory and are off; TENANTRY_HEAP_SNAPSHOTS=true switches them on\n',
}
const BAD_SECONDS: Answer = { status: 400, type: TEXT, body: `seconds: a whole number from 1 to ${MOST_SECONDS}\n` }

/** The paths below /debug/pprof, as Go's programs have them. */
export function debugRoutes({ heapSnapshots }: { readonly heapSnapshots: boolean }): ReadonlyMap<string, DebugRoute> {
  const profiler = createProfiler()
  return new Map<string, DebugRoute>([
    ['/debug/pprof/profile', timed('cpuprofile', profiler.cpu)],
    ['/debug/pprof/heap', timed('heapprofile', profiler.heap)],
    ['/debug/pprof/heapsnapshot', async () => (heapSnapshots ? snapshot(profiler) : SNAPSHOTS_OFF)],
  ])
}

function timed(extension: string, take: Profiler['cpu']): DebugRoute {
  return async (query, gone) => {
    const seconds = secondsOf(query)
    if (seconds === undefined) return BAD_SECONDS
    const body = await take(seconds, gone)
    return body === undefined ? BUSY : { status: 200, type: JSON_TYPE, body, headers: named(extension) }
  }
}

function snapshot(profiler: Profiler): Answer {
  const body = profiler.snapshot()
  return body ? { status: 200, type: JSON_TYPE, body, headers: named('heapsnapshot') } : BUSY
}

function secondsOf(query: URLSearchParams): number | undefined {
  const text = query.get('seconds') ?? String(DEFAULT_SECONDS)
  const seconds = /^\d{1,2}$/.test(text) ? Number(text) : 0
  return seconds >= 1 && seconds <= MOST_SECONDS ? seconds : undefined
}

function named(extension: string): Readonly<Record<string, string>> {
  return { 'content-disposition': `attachment; filename="tenantry-${process.pid}.${extension}"` }
}
