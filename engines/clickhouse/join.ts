import { AppError } from '@tenantry/crds/errors.ts'

/**
 * Joins calls into few: while one is under way, all that ask meanwhile share the next. What they get was asked for after they
 * had asked. Who cancels is let go at once; the call that others share goes on.
 */
export function join<T, R>(load: (items: readonly T[]) => Promise<R>): (item: T, signal: AbortSignal) => Promise<R> {
  let waiting: { readonly items: T[]; readonly result: PromiseWithResolvers<R> } | undefined
  let busy = false
  const next = (): void => {
    const group = waiting
    waiting = undefined
    busy = group !== undefined
    if (group) void load(group.items).then(group.result.resolve, group.result.reject).finally(next)
  }
  return (item, signal) => {
    waiting ??= { items: [], result: Promise.withResolvers<R>() }
    waiting.items.push(item)
    const { promise } = waiting.result
    if (!busy) queueMicrotask(next)
    busy = true
    return unlessAborted(promise, signal)
  }
}

async function unlessAborted<R>(promise: Promise<R>, signal: AbortSignal): Promise<R> {
  const aborted = Promise.withResolvers<never>()
  const giveUp = (): void => aborted.reject(new AppError('Timeout', 'given up because the caller cancelled it'))
  if (signal.aborted) giveUp()
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
