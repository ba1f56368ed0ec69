import { randomBytes } from 'node:crypto'
import { type Clock, sleep } from '../clock.ts'
import { type Log, silentLog } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { statusOf } from './errors.ts'
import { createTokenBuckets, type TokenBuckets } from './token-buckets.ts'
import { EVENTS, type EventType, type KubeEvent, type KubeObject } from './types.ts'

/** The object that an event is about, with its type. */
export type EventSubject = KubeObject & { readonly apiVersion: string; readonly kind: string }

export interface EventDetails {
  readonly type: EventType
  /** Why, in CamelCase: a code of the error table or a fact. */
  readonly reason: string
  /** What was done or tried, in CamelCase. */
  readonly action: string
  /** For people; cut at 1 kB. Never holds a secret. */
  readonly note: string
}

/** Writes events.k8s.io events in the background. A repeated event becomes a count, and no object gets more than its budget. */
export interface Recorder {
  /** Never throws and never waits. */
  event(about: EventSubject, details: EventDetails): void
  /** Resolves when everything recorded so far was written or given up, counts included. */
  flush(): Promise<void>
}

export interface RecorderOptions {
  readonly client: KubeClient
  readonly clock: Clock
  /** The reporting controller: a qualified name such as `tenantry.dev/operator`. */
  readonly component: string
  /** Which replica: the Pod's name. */
  readonly instance: string
  readonly log?: Log
}

interface Series {
  readonly key: string
  readonly about: string
  readonly event: KubeEvent
  count: number
  written: number
  lastSeen: number
  lastWritten: number
  lastObservedTime: string
  queued: boolean
}

const SERIES_MS = 6 * 60_000
const SERIES_WRITE_MS = 60_000
const MOST_SERIES = 4_096
const LONGEST_QUEUE = 1_000
const BURST = 25
const REFILL_MS = 300_000
const ATTEMPTS = 3
const RETRY_MS = 1_000
const LONGEST_NOTE = 1_024
const LONGEST_WORD = 128
const LONGEST_NAME = 253

/** Makes a recorder. It writes one event at a time, and drops what comes while 1,000 are waiting. */
export function createRecorder(options: RecorderOptions): Recorder {
  return new EventRecorder(options)
}

class EventRecorder implements Recorder {
  readonly #options: RecorderOptions
  readonly #log: Log
  readonly #series = new Map<string, Series>()
  readonly #queue: Series[] = []
  readonly #buckets: TokenBuckets
  #writing: Promise<void> | undefined
  #cancelTick: (() => void) | undefined
  #dropped = 0

  constructor(options: RecorderOptions) {
    this.#options = options
    this.#log = options.log ?? silentLog
    this.#buckets = createTokenBuckets(options.clock, { burst: BURST, refillMs: REFILL_MS })
  }

  event(about: EventSubject, details: EventDetails): void {
    try {
      this.#record(about, details)
    } catch (error) {
      this.#log.warn({ err: error, reason: details.reason }, 'an event could not be recorded')
    }
  }

  async flush(): Promise<void> {
    this.#cancelTick?.()
    this.#cancelTick = undefined
    await this.#writing
    for (const series of this.#series.values()) if (series.count > series.written) this.#enqueue(series)
    await this.#writing
  }

  #record(about: EventSubject, details: EventDetails): void {
    const now = this.#options.clock.monotonic()
    const object = about.metadata.uid ?? `${about.kind}/${about.metadata.namespace}/${about.metadata.name}`
    const key = JSON.stringify([object, details.type, details.reason, details.action, details.note])
    const known = this.#series.get(key)
    if (known && now - known.lastSeen < SERIES_MS) this.#repeat(known, now)
    else if (this.#buckets.take(object)) this.#begin(key, object, this.#compose(about, details))
    else this.#drop()
  }

  #begin(key: string, object: string, event: KubeEvent): void {
    const now = this.#options.clock.monotonic()
    const series: Series = {
      key,
      about: object,
      event,
      count: 1,
      written: 0,
      lastSeen: now,
      lastWritten: Number.NEGATIVE_INFINITY,
      lastObservedTime: event.eventTime,
      queued: false,
    }
    this.#remember(series)
    this.#enqueue(series)
  }

  #repeat(series: Series, now: number): void {
    series.count++
    series.lastSeen = now
    series.lastObservedTime = microTime(this.#options.clock.now())
    this.#armTick()
  }

  #remember(series: Series): void {
    this.#series.delete(series.key)
    this.#series.set(series.key, series)
    const oldest = this.#series.keys().next()
    if (this.#series.size > MOST_SERIES && !oldest.done) this.#series.delete(oldest.value)
  }

  #compose(about: EventSubject, { type, reason, action, note }: EventDetails): KubeEvent {
    const { name, namespace, uid, resourceVersion } = about.metadata
    const suffix = `.${randomBytes(8).toString('hex')}`
    return {
      metadata: { name: name.slice(0, LONGEST_NAME - suffix.length) + suffix, namespace: namespace ?? 'default' },
      regarding: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      type,
      reason: reason.slice(0, LONGEST_WORD),
      action: action.slice(0, LONGEST_WORD),
      note: cut(note, LONGEST_NOTE),
      eventTime: microTime(this.#options.clock.now()),
      reportingController: this.#options.component.slice(0, LONGEST_WORD),
      reportingInstance: this.#options.instance.slice(0, LONGEST_WORD),
    }
  }

  #enqueue(series: Series): void {
    if (series.queued) return
    if (this.#queue.length >= LONGEST_QUEUE) {
      if (series.written === 0) this.#series.delete(series.key)
      this.#drop()
      return
    }
    series.queued = true
    this.#queue.push(series)
    this.#writing ??= this.#drain()
  }

  #drop(): void {
    // One line for each power of two: a flood of events must not become a flood of lines.
    if (Number.isInteger(Math.log2(++this.#dropped))) this.#log.warn({ dropped: this.#dropped }, 'events were dropped')
  }

  // Counts are written once a minute, and never beyond the budget of the object.
  #armTick(): void {
    this.#cancelTick ??= this.#options.clock.setTimeout(() => {
      this.#cancelTick = undefined
      this.#tick()
    }, SERIES_WRITE_MS)
  }

  #tick(): void {
    const now = this.#options.clock.monotonic()
    for (const [key, series] of this.#series) {
      const due = series.count > series.written && now - series.lastWritten >= SERIES_WRITE_MS
      if (due && this.#buckets.take(series.about)) this.#enqueue(series)
      if (now - series.lastSeen >= SERIES_MS && series.count === series.written) this.#series.delete(key)
    }
    if (this.#series.size > 0) this.#armTick()
  }

  async #drain(): Promise<void> {
    for (let series = this.#queue.shift(); series; series = this.#queue.shift()) {
      series.queued = false
      try {
        await this.#write(series)
      } catch (error) {
        // The event may be gone (they live an hour): the next of its kind begins anew.
        this.#series.delete(series.key)
        this.#log.debug({ err: error }, 'an event was not written')
      }
    }
    this.#writing = undefined
  }

  async #write(series: Series): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await (series.written === 0 ? this.#create(series) : this.#count(series))
        series.lastWritten = this.#options.clock.monotonic()
        return
      } catch (error) {
        const status = statusOf(error)
        const hopeless = status !== undefined && status < 500 && status !== 429
        if (hopeless || attempt === ATTEMPTS) throw error
        await sleep(this.#options.clock, RETRY_MS * 2 ** attempt)
      }
    }
  }

  async #create(series: Series): Promise<void> {
    try {
      await this.#options.client.create(EVENTS, series.event)
    } catch (error) {
      // The name is ours alone: the reply to an earlier attempt was lost.
      if (statusOf(error) !== 409) throw error
    }
    series.written = 1
  }

  async #count(series: Series): Promise<void> {
    const { count, lastObservedTime, event } = series
    const patch = { series: { count, lastObservedTime } }
    await this.#options.client.patch(EVENTS, event.metadata, patch, { type: 'merge' })
    series.written = count
  }
}

function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}

// Counted in bytes, as the server does, and never through the middle of a character.
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  const marked = Buffer.from(text).subarray(0, bytes - 3)
  return `${new TextDecoder().decode(marked, { stream: true })}…`
}
