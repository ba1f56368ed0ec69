import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { AppError } from '@tenantry/crds/errors.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import type { Clock } from '../clock.ts'
import type { JobName, Jobs, Reply, Text } from './job.ts'

/** What was found is kept: files are read again and again, and hardly ever change. */
const MOST_KEPT = 4_096
/** The thread takes some tens of megabytes, and is seldom needed. */
const IDLE_MS = 60_000
/** The largest files take some seconds. */
const PATIENCE_MS = 120_000
const MEMORY_MB = 1_024

export interface AnalystOptions {
  readonly clock: Clock
  /** The program of the thread; the parser's when absent. */
  readonly program?: URL
}

/**
 * Has SQL files read by a thread of its own, so that nothing else waits for the parser. The thread is begun when it is needed,
 * and again when it died; what it died of is an error of the file that it read then.
 */
export class Analyst {
  readonly #options: AnalystOptions
  readonly #known = new Map<string, Promise<Jobs[JobName]['result']>>()
  readonly #turns = new Semaphore(1)
  #worker: Worker | undefined
  #cancelIdle: () => void = () => undefined
  #count = 0
  #closed = false

  constructor(options: AnalystOptions) {
    this.#options = options
  }

  /** The result of a job, the same for the same text. Throws AppError `SourceInvalid` when the file could not be read. */
  async ask<J extends JobName>(job: J, file: Text, given: Jobs[J]['given']): Promise<Jobs[J]['result']> {
    const hash = createHash('sha256')
      .update(JSON.stringify([job, file.name, given]))
      .update(file.body)
    const key = hash.digest('base64')
    const known = this.#known.get(key)
    const result = known ?? this.#turns.run(() => this.#read(job, file, given))
    this.#known.delete(key)
    this.#known.set(key, result)
    if (!known) result.catch(() => this.#known.delete(key))
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_KEPT) break
      this.#known.delete(oldest)
    }
    return await result
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#end()
  }

  async #read<J extends JobName>(job: J, file: Text, given: Jobs[J]['given']): Promise<Jobs[J]['result']> {
    if (this.#closed) throw refused(file, 'the operator stops')
    this.#cancelIdle()
    const worker = this.#worker ?? this.#begin()
    this.#worker = worker
    const id = ++this.#count
    const { clock } = this.#options
    const answer = Promise.withResolvers<Reply>()
    const cancel = clock.setTimeout(() => this.#giveUp(worker), PATIENCE_MS)
    const ended = (cause: unknown): void => answer.reject(refused(file, 'the parser came to no end with it', cause))
    const said = (reply: Reply): void => (reply.id === id ? answer.resolve(reply) : undefined)
    worker.on('message', said).once('error', ended).once('exit', ended)
    try {
      worker.postMessage({ id, job, file: { name: file.name, body: file.body }, given })
      const reply = await answer.promise
      if ('error' in reply) throw refused(file, reply.error)
      return reply.result
    } finally {
      cancel()
      worker.off('message', said).off('error', ended).off('exit', ended)
      this.#cancelIdle = clock.setTimeout(() => this.#giveUp(worker), IDLE_MS)
    }
  }

  #begin(): Worker {
    const { program = new URL('./worker.ts', import.meta.url) } = this.#options
    const worker = new Worker(program, { execArgv: [], resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB } })
    worker.unref()
    const forget = (): void => {
      if (this.#worker === worker) this.#worker = undefined
    }
    // Without a listener its death would be ours.
    worker.on('error', forget).on('exit', forget)
    return worker
  }

  #giveUp(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined
    void worker.terminate()
  }

  async #end(): Promise<void> {
    this.#cancelIdle()
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }
}

function refused({ name }: Text, reason: string, cause?: unknown): AppError {
  const detail = cause instanceof Error ? ` (${cause.message})` : ''
  return new AppError('SourceInvalid', `read SQL file ${name}: ${reason}${detail}`, cause)
}
