import { AppError, asAppError } from '@tenantry/crds/errors.ts'
import type {
  Applied,
  Batch,
  Connection,
  Engine,
  Health,
  ProbeLogin,
  Proof,
  Resource,
  SchemaAnswer,
  SchemaQuestion,
  Session,
} from '@tenantry/engines/model.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import type { Clock } from '../clock.ts'
import type { ReconcileContext } from '../telemetry/reconcile-context.ts'
import type { EngineCall } from '../telemetry/tracing.ts'
import { Coalescer } from './coalesce.ts'

export interface ShardOptions {
  /** `namespace/database/shard`. */
  readonly id: string
  readonly engine: Engine<Resource, unknown>
  readonly connection: Connection
  readonly session: Session<Resource, unknown>
  readonly clock: Clock
  readonly maxConcurrentApplies: number
  /** After a server did not answer, calls fail at once for this long instead of each waiting for its own timeout. */
  readonly coolDownMs: number
  readonly onCall: (call: EngineCall) => void
}

/** What a snapshot of the whole shard holds under these names; undefined where something was written under one of them since. */
export type Known = (scope: readonly string[]) => unknown

/** One server of a Database: its pool, its snapshots, and the bulkhead that keeps its troubles to itself. */
export class Shard {
  readonly id: string
  readonly engine: Engine<Resource, unknown>
  readonly connection: Connection
  readonly #options: ShardOptions
  readonly #reads: Coalescer<unknown>
  readonly #applies: Semaphore
  /** Of whole-shard snapshots in use: names written to since they began to be taken, of which they know nothing for sure. */
  readonly #watching = new Set<Set<string>>()
  readonly #latencies: number[] = []
  #resyncedAt: number | undefined
  #running = 0
  #down: { until: number; error: AppError } | undefined

  constructor(options: ShardOptions) {
    this.#options = options
    this.id = options.id
    this.engine = options.engine
    this.connection = options.connection
    this.#applies = new Semaphore(options.maxConcurrentApplies)
    const observe = (names: readonly string[], joined: readonly ReconcileContext[]): Promise<unknown> =>
      this.#call('observe', (signal) => options.session.observe(names, signal), { joined })
    this.#reads = new Coalescer(observe, options.clock)
  }

  /** What the shard holds under these names, by a read that others who ask meanwhile share. */
  async read(scope: readonly string[], signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted()
    return await this.#reads.read(scope)
  }

  /**
   * Reads the whole shard once, for all its tenants, and has `compare` look at what was found. It is let go of afterwards: it is
   * large, and whatever is acted upon is read anew.
   */
  async resync(compare: (known: Known) => Promise<void>): Promise<void> {
    const takenAt = this.#options.clock.monotonic()
    const touched = new Set<string>()
    this.#watching.add(touched)
    try {
      const snapshot = await this.#call('observe-all', (signal) => this.#options.session.observe('all', signal))
      this.#resyncedAt = takenAt
      await compare((scope) => (scope.some((name) => touched.has(name)) ? undefined : snapshot))
    } finally {
      this.#watching.delete(touched)
    }
  }

  /** Seconds since the whole shard was last read; undefined before the first time. */
  get snapshotAgeSeconds(): number | undefined {
    return this.#resyncedAt === undefined ? undefined : (this.#options.clock.monotonic() - this.#resyncedAt) / 1000
  }

  /** How many calls are under way and how many applies wait for a place. */
  get use(): { readonly running: number; readonly waiting: number; readonly limit: number } {
    return { running: this.#running, waiting: this.#applies.waiting, limit: this.#options.maxConcurrentApplies }
  }

  /** `batch` is asked for when its turn comes. */
  async apply(batch: () => Batch, scope: readonly string[], signal: AbortSignal): Promise<Applied> {
    return await this.#applies.run(async () => {
      const now = batch()
      if (now.changes.length === 0) return { done: [] }
      this.#touch(scope)
      try {
        const errorIn = ({ failed }: Applied) => failed?.error
        return await this.#call('apply', () => this.#options.session.apply(now, signal), { errorIn })
      } finally {
        this.#touch(scope)
      }
    }, signal)
  }

  async health(): Promise<Health> {
    this.#down = undefined
    const health = await this.#call('health', (signal) => this.#options.session.health(signal))
    this.#latencies.push(health.latencyMs)
    if (this.#latencies.length > LATENCIES) this.#latencies.shift()
    return health
  }

  /** The best of the last looks, so that one busy moment is no news; undefined before there were enough of them. */
  get latencyMs(): number | undefined {
    return this.#latencies.length < LATENCIES ? undefined : Math.min(...this.#latencies)
  }

  async probe(login: ProbeLogin): Promise<Proof> {
    return await this.#call('probe', (signal) => this.#options.session.probe(login, signal))
  }

  /** Throws AppError `Unsupported` where the engine cannot. */
  async compareSchemas(question: SchemaQuestion): Promise<readonly SchemaAnswer[]> {
    const { session } = this.#options
    if (!session.compareSchemas)
      throw new AppError('Unsupported', `compare the tables on ${this.id}: ${this.engine.name} cannot`)
    return await this.#call(
      'compare-schemas',
      async (signal) => (await session.compareSchemas?.(question, signal)) ?? [],
    )
  }

  async close(): Promise<void> {
    await this.#options.session.close()
  }

  #touch(scope: readonly string[]): void {
    for (const touched of this.#watching) {
      for (const name of scope) touched.add(name)
    }
  }

  async #call<T>(
    op: string,
    run: (signal: AbortSignal) => Promise<T>,
    { joined = [], errorIn = () => undefined }: CallDetails<T> = {},
  ): Promise<T> {
    const { clock, onCall } = this.#options
    if (this.#down && clock.monotonic() < this.#down.until) throw this.#down.error
    const started = clock.monotonic()
    const ended = (error: AppError | undefined): void => {
      cancel()
      this.#running--
      this.#noteOutcome(error)
      const seconds = (clock.monotonic() - started) / 1000
      onCall({ engine: this.engine.name, op, shard: this.id, joined, ok: !error, seconds, ...codeOf(error) })
    }
    // Not AbortSignal.timeout: its timer could not be cleared, and there is one of these for every call.
    const patience = new AbortController()
    const cancel = clock.setTimeout(() => patience.abort(tooLong(op, this.id)), CALL_TIMEOUT_MS)
    this.#running++
    try {
      const result = await run(patience.signal)
      ended(errorIn(result))
      return result
    } catch (error) {
      const known = asAppError(error, `${op} ${this.id}`)
      ended(known)
      throw known
    }
  }

  #noteOutcome(error: AppError | undefined): void {
    const silent = error?.code === 'Unreachable' || error?.code === 'Timeout'
    if (silent) this.#down = { until: this.#options.clock.monotonic() + this.#options.coolDownMs, error }
    else if (!error) this.#down = undefined
  }
}

interface CallDetails<T> {
  /** The reconciles that wait for the result. */
  readonly joined?: readonly ReconcileContext[]
  /** Finds the failure in a result that tells of one. */
  readonly errorIn?: (result: T) => AppError | undefined
}

function codeOf(error: AppError | undefined): { code?: string } {
  return error ? { code: error.code } : {}
}

/** How many looks a latency is taken from. */
const LATENCIES = 3

/** Nothing on a shard may take longer than this in one piece, whatever the driver's own timeouts do. */
const CALL_TIMEOUT_MS = 60_000

function tooLong(op: string, id: string): AppError {
  return new AppError(
    'Timeout',
    `${op} ${id}: no answer within ${CALL_TIMEOUT_MS / 1000} s; look at the server's load and locks`,
  )
}
