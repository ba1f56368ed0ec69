import { AppError } from '@tenantry/crds/errors.ts'
import { type Clock, sleep } from '../clock.ts'
import { Heap } from './heap.ts'
import { type LaneItem, Lanes } from './lanes.ts'
import type { AddOptions, RunOptions, Work } from './options.ts'
import { createPace, NO_PACE, type Pace, type PaceOptions } from './pace.ts'
import { PRIORITY } from './priority.ts'
import type { QueueObserver } from './queue-observer.ts'
import { createRetryDelay, type RetryDelayOptions } from './retry-delay.ts'

export type { AddOptions, RunInfo, RunOptions, Work } from './options.ts'
export { PRIORITY } from './priority.ts'
export type { QueueObserver } from './queue-observer.ts'

export interface WorkQueueOptions extends RetryDelayOptions {
  readonly clock: Clock
  readonly observer?: QueueObserver
  /** How often one key may run; at any time when absent. `PRIORITY.finalize` and above does not wait for it. */
  readonly pace?: PaceOptions
}

interface Item extends LaneItem {
  priority: number
  seq: number
  dueAt: number
}

interface Run {
  readonly priority: number
  readonly startedAt: number
  readonly control: AbortController
  readonly lanes: readonly string[]
  retried: boolean
}

/**
 * Keys that wait for work. A key is in it once at most and never runs twice at a time; added while it runs, it runs once
 * more afterwards. Higher priorities first, within one in the order of arrival.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #clock: Clock
  readonly #pending = new Map<string, Item>()
  readonly #ready = new Heap<Item>(runsBefore)
  readonly #delayed = new Heap<Item>((a, b) => a.dueAt < b.dueAt)
  readonly #running = new Map<string, Run>()
  readonly #pace: Pace
  readonly #retryDelay: (failures: number) => number
  readonly #failures = new Map<string, number>()
  readonly #stopped = Promise.withResolvers<void>()
  #lanes = new Lanes<Item>(Number.POSITIVE_INFINITY, () => [], runsBefore)
  #work: Work | undefined
  #concurrency = 0
  #deadlineMs = 0
  #seq = 0
  #pumping = false
  #closed = false
  #timer: { readonly dueAt: number; readonly cancel: () => void } | undefined

  constructor(options: WorkQueueOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#pace = options.pace ? createPace(options.clock, options.pace) : NO_PACE
    this.#retryDelay = createRetryDelay(options)
    options.observer?.attached?.(this)
  }

  /** How many keys may run at a time; 0 before `run`. */
  get concurrency(): number {
    return this.#concurrency
  }

  /** How many keys wait to run now. */
  get depth(): number {
    return this.#pending.size - this.#delayed.size
  }

  /** How many keys wait for their time. */
  get delayed(): number {
    return this.#delayed.size
  }

  /** The runs under way, and for how many milliseconds. */
  get running(): readonly { readonly key: string; readonly forMs: number }[] {
    const now = this.#clock.monotonic()
    return Array.from(this.#running, ([key, { startedAt }]) => ({ key, forMs: now - startedAt }))
  }

  /** `depth` by priority. */
  depthByPriority(): ReadonlyMap<number, number> {
    const now = this.#clock.monotonic()
    const depths = new Map<number, number>()
    for (const { priority, dueAt } of this.#pending.values()) {
      if (dueAt <= now) depths.set(priority, (depths.get(priority) ?? 0) + 1)
    }
    return depths
  }

  /** Asks for a run of the key, now or after a while. */
  add(key: string, { priority = 0, afterMs = 0 }: AddOptions = {}): void {
    if (this.#closed) return
    const paced = priority >= PRIORITY.finalize ? 0 : this.#pace.readyAt(key)
    const dueAt = Math.max(this.#clock.monotonic() + Math.max(0, afterMs), paced)
    const item = this.#pending.get(key)
    if (item && item.priority >= priority && item.dueAt <= dueAt) return
    this.#options.observer?.added?.()
    if (item) this.#takeOut(item)
    const merged: Item = {
      key,
      priority: Math.max(priority, item?.priority ?? priority),
      dueAt: Math.min(dueAt, item?.dueAt ?? dueAt),
      seq: this.#seq++,
      at: -1,
      wokenFor: item?.wokenFor,
    }
    this.#pending.set(key, merged)
    this.#putIn(merged)
  }

  /**
   * Asks for another run after a failure: 5 ms doubling to 5 minutes, and no sooner than in `notBeforeMs`, at the priority of the
   * failed run unless another is given.
   */
  retry(key: string, { priority, notBeforeMs = 0 }: { priority?: number; notBeforeMs?: number } = {}): void {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    const run = this.#running.get(key)
    if (run) run.retried = true
    this.#options.observer?.retried?.()
    const afterMs = Math.max(this.#retryDelay(failures), notBeforeMs)
    this.add(key, { priority: priority ?? run?.priority ?? 0, afterMs })
  }

  /** How often `retry` was called since the key last succeeded. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  /** Lets the next `retry` start from the shortest wait. A run that ends without `retry` does the same. */
  forget(key: string): void {
    this.#failures.delete(key)
  }

  /** Runs `work` for the keys, until shutDown has drained it. To be called once. */
  run(work: Work, { concurrency, deadlineMs, lanes, laneConcurrency = concurrency }: RunOptions): Promise<void> {
    this.#work = work
    this.#concurrency = concurrency
    this.#deadlineMs = deadlineMs
    if (lanes) this.#lanes = new Lanes(laneConcurrency, lanes, runsBefore)
    this.#schedulePump()
    return this.#stopped.promise
  }

  /**
   * Starts nothing more, waits for the runs under way, aborts what is left after `graceMs`, and waits `abortMs` for that.
   * Returns the keys whose runs took no notice.
   */
  async shutDown({ graceMs = 30_000, abortMs = 5_000 } = {}): Promise<readonly string[]> {
    this.#closed = true
    this.#cancelTimer()
    this.#stopWhenDrained()
    await this.#drained(graceMs)
    for (const [key, { control }] of this.#running) {
      control.abort(
        new AppError('Timeout', `work on ${key}: the operator is stopping; it is taken up after the restart`),
      )
    }
    await this.#drained(abortMs)
    this.#stopped.resolve()
    return [...this.#running.keys()]
  }

  async #drained(ms: number): Promise<void> {
    const control = new AbortController()
    await Promise.race([this.#stopped.promise, sleep(this.#clock, ms, control.signal)])
    control.abort()
  }

  #stopWhenDrained(): void {
    if (this.#closed && this.#running.size === 0) this.#stopped.resolve()
  }

  #takeOut(item: Item): void {
    this.#ready.remove(item)
    this.#delayed.remove(item)
    if (item.at >= 0) this.#lanes.unpark(item)
    if (this.#delayed.size === 0) this.#cancelTimer()
  }

  #cancelTimer(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  // A key that runs stays pending only; the end of its run puts it in its place.
  #putIn(item: Item): void {
    if (item.dueAt > this.#clock.monotonic()) {
      this.#delayed.push(item)
      this.#armTimer()
    } else if (!this.#running.has(item.key)) {
      this.#makeReady(item)
    }
  }

  #makeReady = (item: Item): void => {
    this.#ready.push(item)
    this.#schedulePump()
  }

  #armTimer(): void {
    const next = this.#delayed.peek()
    if (!next || (this.#timer && this.#timer.dueAt <= next.dueAt)) return
    this.#timer?.cancel()
    const { dueAt } = next
    const cancel = this.#clock.setTimeout(() => this.#onTimer(), Math.max(0, dueAt - this.#clock.monotonic()))
    this.#timer = { dueAt, cancel }
  }

  #onTimer(): void {
    this.#timer = undefined
    const now = this.#clock.monotonic()
    for (let item = this.#delayed.peek(); item && item.dueAt <= now; item = this.#delayed.peek()) {
      this.#delayed.remove(item)
      if (!this.#running.has(item.key)) this.#makeReady(item)
    }
    this.#armTimer()
  }

  // One turn of the event loop between any two rounds: ten thousand runs with nothing to do must not block it.
  #schedulePump(): void {
    if (this.#pumping || this.#closed || !this.#work) return
    this.#pumping = true
    setImmediate(() => {
      this.#pumping = false
      this.#pump(this.#work)
    })
  }

  #pump(work: Work | undefined): void {
    while (work && !this.#closed && this.#running.size < this.#concurrency) {
      const item = this.#ready.pop()
      if (!item) return
      const lanes = this.#lanes.enter(item, this.#makeReady)
      if (lanes) this.#start(item, lanes, work)
    }
  }

  #start({ key, priority, dueAt }: Item, lanes: readonly string[], work: Work): void {
    this.#pending.delete(key)
    const startedAt = this.#clock.monotonic()
    const run: Run = { priority, startedAt, control: new AbortController(), lanes, retried: false }
    this.#running.set(key, run)
    this.#pace.started(key)
    this.#options.observer?.started?.(startedAt - dueAt)
    const cancelDeadline = this.#clock.setTimeout(() => this.#onDeadline(key, run), this.#deadlineMs)
    // The wrapper turns a synchronous throw of `work` into a rejection.
    const info = { priority, attempt: this.failures(key) + 1 }
    const promise = (async () => work(key, run.control.signal, info))()
    promise.then(
      () => this.#finish(key, run, cancelDeadline),
      (error) => {
        this.#options.observer?.failed?.(key, error)
        this.retry(key)
        this.#finish(key, run, cancelDeadline)
      },
    )
  }

  #onDeadline(key: string, { control }: Run): void {
    this.#options.observer?.timedOut?.()
    control.abort(new AppError('Timeout', `work on ${key}: not done within ${this.#deadlineMs / 1000} s`))
  }

  #finish(key: string, run: Run, cancelDeadline: () => void): void {
    cancelDeadline()
    this.#running.delete(key)
    if (!run.retried) this.forget(key)
    this.#options.observer?.finished?.(this.#clock.monotonic() - run.startedAt)
    this.#lanes.leave(run.lanes, this.#makeReady)
    const again = this.#pending.get(key)
    if (again && again.at < 0) this.#putIn(again)
    this.#schedulePump()
    this.#stopWhenDrained()
  }
}

function runsBefore(a: Item, b: Item): boolean {
  return a.priority > b.priority || (a.priority === b.priority && a.seq < b.seq)
}
