import { GROUP } from '@tenantry/crds/common.ts'
import { type Clock, sleep } from '../clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { statusOf } from './errors.ts'
import { LEASES, type Lease } from './types.ts'
import { watchVacancy } from './vacancy.ts'

/** On the Lease: the epoch of its holder, which every write to an engine carries. */
export const EPOCH_ANNOTATION = `${GROUP}/epoch`

export interface LeaderOptions {
  readonly client: KubeClient
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly namespace: string
  readonly name: string
  /** Unique to this process, not only to its Pod: a restarted process is another holder. */
  readonly identity: string
  /** How long others leave a holder alone that they do not hear of. */
  readonly leaseDurationMs?: number
  /** How long the holder goes on without having renewed. Shorter than the duration, so that it stops before another starts. */
  readonly renewDeadlineMs?: number
  readonly retryPeriodMs?: number
}

/** A term as leader. */
export interface Leadership {
  /** Higher than that of any leader before. */
  readonly epoch: number
  /** Aborts when the term is over, for whatever reason. */
  readonly lost: AbortSignal
  /** Whether it is over by the clock here, which is known sooner than `lost` tells where the process was frozen. */
  isOver(): boolean
  /** Ends the term although the Lease is held: a server has seen a newer leader. */
  end(): void
  /** Stops renewing and lets the next one take over at once. */
  release(): Promise<void>
}

const JITTER = 0.2

/**
 * Waits until this process holds the Lease, and keeps it renewed. Time is judged by the local monotonic clock alone: a
 * foreign holder counts as dead when its Lease did not change for the lease duration as seen from here, whatever its
 * timestamps say. As client-go states of its own election, a Lease does not fence: that is what the epoch is for.
 * Rejects only when `signal` aborts.
 */
export async function lead(options: LeaderOptions, signal: AbortSignal): Promise<Leadership> {
  const candidate = new Candidate(options)
  if (!(await candidate.tryToHold(signal))) await queueUp(candidate, options, signal)
  return candidate.startTerm()
}

/** Asks again and again, and at once when the holder gives the Lease up. */
async function queueUp(candidate: Candidate, options: LeaderOptions, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const vacancy = watchVacancy(options.client, options, options.log)
  try {
    let vacated = vacancy.next()
    do {
      await sleep(options.clock, candidate.retryAfterMs(), AbortSignal.any([signal, vacated]))
      signal.throwIfAborted()
      // Before asking, so that nothing is missed that happens meanwhile.
      vacated = vacancy.next()
    } while (!(await candidate.tryToHold(signal)))
  } finally {
    vacancy.close()
  }
}

class Candidate {
  readonly #options: LeaderOptions
  readonly #leaseDurationMs: number
  readonly #renewDeadlineMs: number
  readonly #retryPeriodMs: number
  /** The Lease as last seen, and when it was first seen like that. */
  #seen: { readonly lease: Lease; readonly at: number } | undefined
  #renewedAt = 0

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000
  }

  retryAfterMs(): number {
    return this.#retryPeriodMs * (1 + JITTER * this.#options.random())
  }

  /** One attempt to take or renew the Lease. A failure of any kind is only "not held": the next attempt comes soon. */
  async tryToHold(signal?: AbortSignal): Promise<boolean> {
    const { client, clock, log, namespace, name } = this.#options
    // What counts is when the renewal was asked for: the answer may come late.
    const startedAt = clock.monotonic()
    try {
      const found = await client.get(LEASES, { namespace, name }, { signal })
      if (found) this.#note(found)
      if (found && this.#isHeldByOther(found)) return false
      const wanted = this.#wanted(found)
      const written = found
        ? await client.patch(LEASES, { namespace, name }, wanted, { type: 'merge', signal })
        : await client.create(LEASES, wanted, { signal })
      this.#seen = { lease: written, at: clock.monotonic() }
      this.#renewedAt = startedAt
      return true
    } catch (error) {
      if (statusOf(error) !== 409)
        log.warn({ err: error, lease: `${namespace}/${name}` }, 'could not take or renew the lease')
      return false
    }
  }

  startTerm(): Leadership {
    const over = new AbortController()
    const { clock } = this.#options
    const epoch = epochOf(this.#seen?.lease)
    const renewing = this.#keepRenewing(over)
    return {
      epoch,
      lost: over.signal,
      isOver: () => over.signal.aborted || clock.monotonic() - this.#renewedAt >= this.#renewDeadlineMs,
      end: () => over.abort(),
      release: async () => {
        const inTime = !over.signal.aborted
        over.abort()
        await renewing
        if (inTime) await this.#giveUp()
      },
    }
  }

  async #keepRenewing(over: AbortController): Promise<void> {
    const { clock, log } = this.#options
    // A timer of its own: an attempt that hangs must not outlive the deadline.
    let cancel = (): void => undefined
    const armed = (): void => {
      cancel()
      cancel = clock.setTimeout(() => over.abort(), this.#renewDeadlineMs - (clock.monotonic() - this.#renewedAt))
    }
    armed()
    while (await sleep(clock, this.#retryPeriodMs, over.signal)) {
      const attempt = AbortSignal.any([over.signal, AbortSignal.timeout(this.#renewDeadlineMs)])
      if (await this.tryToHold(attempt)) armed()
      else if (this.#seen && this.#isHeldByOther(this.#seen.lease)) over.abort()
    }
    cancel()
    log.info({ lease: `${this.#options.namespace}/${this.#options.name}` }, 'the term as leader is over')
  }

  async #giveUp(): Promise<void> {
    const { client, namespace, name, log } = this.#options
    const resourceVersion = this.#seen?.lease.metadata.resourceVersion
    const patch = { metadata: { resourceVersion }, spec: { holderIdentity: null, leaseDurationSeconds: 1 } }
    try {
      await client.patch(LEASES, { namespace, name }, patch, { type: 'merge' })
    } catch (error) {
      log.warn({ err: error }, 'could not release the lease; the next leader waits until it runs out')
    }
  }

  #note(found: Lease): void {
    if (found.metadata.resourceVersion === this.#seen?.lease.metadata.resourceVersion) return
    this.#seen = { lease: found, at: this.#options.clock.monotonic() }
  }

  #isHeldByOther({ spec }: Lease): boolean {
    if (!spec?.holderIdentity || spec.holderIdentity === this.#options.identity) return false
    const duration = (spec.leaseDurationSeconds ?? 0) * 1000 || this.#leaseDurationMs
    return this.#options.clock.monotonic() - (this.#seen?.at ?? 0) < duration
  }

  #wanted(found: Lease | undefined): Lease {
    const { identity, namespace, name, clock } = this.#options
    const now = clock.now().toISOString().replace('Z', '000Z')
    const mine = found?.spec?.holderIdentity === identity
    const epoch = mine ? epochOf(found) : nextEpoch(found, clock.now())
    return {
      metadata: {
        namespace,
        name,
        annotations: { [EPOCH_ANNOTATION]: String(epoch) },
        ...(found?.metadata.resourceVersion !== undefined && { resourceVersion: found.metadata.resourceVersion }),
      },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
        renewTime: now,
        ...(!mine && { acquireTime: now, leaseTransitions: (found?.spec?.leaseTransitions ?? -1) + 1 }),
      },
    }
  }
}

function epochOf(lease: Lease | undefined): number {
  return Number(lease?.metadata.annotations?.[EPOCH_ANNOTATION] ?? 0)
}

/** Also grows when somebody deleted the Lease: no earlier than the present millisecond. */
function nextEpoch(found: Lease | undefined, now: Date): number {
  return Math.max(epochOf(found) + 1, now.getTime())
}
