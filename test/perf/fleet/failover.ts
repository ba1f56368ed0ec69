/** `failover`: how long nobody works after the leader was lost, and after it was asked to stop. */
import { setTimeout as sleep } from 'node:timers/promises'
import { total } from './counters.ts'
import { renderFailover } from './failover-report.ts'
import { type OperatorProcess, until } from './operator-process.ts'
import { untilDone } from './watch.ts'
import { type Fleet, type FleetOptions, withFleet } from './world.ts'

const POLL_MS = 20
/** The leader renews its Lease every two seconds: it is ended at another moment between two renewals each time. */
const RENEWED_EVERY_MS = 2000
const TIMEOUT_MS = 60_000

/** Seconds from the signal to the leader. */
export interface Takeover {
  /** To the moment in which the other one leads, and to the end of its first reconcile. */
  readonly leads: number
  readonly reconciles: number
}

export type Ending = 'crash' | 'stop'

/** Resolves to what is to be printed, JSON on the last line. */
export async function failover(options: FleetOptions): Promise<string> {
  return await withFleet(options, async (fleet) => {
    await fleet.grow(options.tenants)
    return renderFailover(options, await measureFailover(fleet))
  })
}

export async function measureFailover(fleet: Fleet): Promise<Readonly<Record<Ending, readonly Takeover[]>>> {
  const { runs, profile, log } = fleet.options
  const takeovers: Record<Ending, Takeover[]> = { crash: [], stop: [] }
  let leader = await fleet.start({ profile })
  await untilSettled(fleet, leader)
  for (let round = 0; round < runs; round++) {
    for (const ending of ['crash', 'stop'] as const) {
      const standby = await warmStandby(fleet)
      await sleep((round / runs) * RENEWED_EVERY_MS)
      const takeover = await replace(fleet, { leader, standby, ending })
      log(`After a ${ending} the other one reconciled within ${takeover.reconciles.toFixed(2)} s`)
      takeovers[ending].push(takeover)
      await untilSettled(fleet, standby)
      leader = standby
    }
  }
  await leader.stop()
  return takeovers
}

async function untilSettled(fleet: Fleet, operator: OperatorProcess): Promise<void> {
  await untilDone(operator, fleet.goalOf(fleet.options.tenants), new Map())
}

async function warmStandby({ start, options: { signal, profile } }: Fleet): Promise<OperatorProcess> {
  const standby = await start({ profile })
  await until('the standby to have listed everything', () => standby.ready(), { signal })
  // The Lease must have been seen with its present holder, or it counts as older than it is.
  await sleep(RENEWED_EVERY_MS, undefined, { signal })
  return standby
}

async function replace(
  { options: { signal } }: Fleet,
  { leader, standby, ending }: { leader: OperatorProcess; standby: OperatorProcess; ending: Ending },
): Promise<Takeover> {
  const begin = performance.now()
  const ended = ending === 'crash' ? leader.kill() : leader.stop()
  const limits = { signal, timeoutMs: TIMEOUT_MS, pollMs: POLL_MS }
  const seen = async (metric: string): Promise<boolean> => total((await standby.counters()) ?? new Map(), metric) > 0
  await until('the standby to lead', () => seen('leader_election_master_status'), limits)
  const leads = (performance.now() - begin) / 1000
  await until('its first reconcile', () => seen('controller_runtime_reconcile_time_seconds_count'), limits)
  const reconciles = (performance.now() - begin) / 1000
  await ended
  return { leads, reconciles }
}
