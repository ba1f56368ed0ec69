import { AsyncLocalStorage } from 'node:async_hooks'
import type { Span } from '@opentelemetry/api'

/** One reconcile under way. */
export interface ReconcileContext {
  /** In every log line and span of this reconcile, and of no other. */
  readonly id: string
  /** Only when tracing is on. */
  readonly span?: Span
  /** Add `performance.now()` to get the time since 1970; in milliseconds. */
  readonly epochMs: number
}

interface Stored {
  readonly context: ReconcileContext
  ended: boolean
}

const storage = new AsyncLocalStorage<Stored>()

/** Runs `work`, all of whose asynchronous calls find `context` until its promise settles. */
export async function inReconcile<T>(context: ReconcileContext, work: () => Promise<T>): Promise<T> {
  const stored: Stored = { context, ended: false }
  try {
    return await storage.run(stored, work)
  } finally {
    // What a reconcile started and left running (an informer, a timer) must not speak in its name for ever.
    stored.ended = true
  }
}

/** The reconcile on whose behalf the caller runs, if there is one. */
export function currentReconcile(): ReconcileContext | undefined {
  const stored = storage.getStore()
  return stored && !stored.ended ? stored.context : undefined
}
