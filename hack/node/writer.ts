import { setTimeout as sleep } from 'node:timers/promises'

/** Writes the newest state of something, one write at a time; what changes meanwhile is written once, afterwards. */
export interface Writer {
  request(): void
  /** Resolves when nothing is left to be written. */
  settled(): Promise<void>
}

const RETRY_MS = 1_000

/** `write` is repeated until it succeeds; it must end without an error when there is no one to write to any more. */
export function createWriter(write: () => Promise<void>, onError: (error: unknown) => void): Writer {
  let wanted = false
  let working: Promise<void> | undefined
  const work = async (): Promise<void> => {
    while (wanted) {
      wanted = false
      await write().catch(async (error) => {
        onError(error)
        wanted = true
        await sleep(RETRY_MS)
      })
    }
    working = undefined
  }
  const request = (): void => {
    wanted = true
    working ??= Promise.resolve().then(work)
  }
  return { request, settled: async () => working }
}
