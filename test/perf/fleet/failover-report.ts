import { table } from '../../../cli/table.ts'
import { round } from '../statistics.ts'
import type { Ending, Takeover } from './failover.ts'
import { type Target, targetsJson, targetsTable } from './targets.ts'
import type { FleetOptions } from './world.ts'

const TITLES: Readonly<Record<Ending, string>> = { crash: 'crash (SIGKILL)', stop: 'graceful stop (SIGTERM)' }
const LIMITS: Readonly<Record<Ending, number>> = { crash: 17, stop: 2 }

/** Tables of at most 100 columns, and one line of JSON behind them. The slowest of all runs counts. */
export function renderFailover(
  { tenants, runs }: FleetOptions,
  takeovers: Readonly<Record<Ending, readonly Takeover[]>>,
): string {
  const endings = ['crash', 'stop'] as const
  const targets = endings.map((ending): Target => {
    const value = Math.max(...takeovers[ending].map(({ reconciles }) => reconciles))
    return { name: `first reconcile after a ${TITLES[ending]}`, value, limit: LIMITS[ending], unit: 's' }
  })
  const rows = endings.flatMap((ending) =>
    takeovers[ending].map(({ leads, reconciles }, i) => [
      TITLES[ending],
      String(i + 1),
      `${leads.toFixed(2)} s`,
      `${reconciles.toFixed(2)} s`,
    ]),
  )
  const json = (ending: Ending): readonly object[] =>
    takeovers[ending].map(({ leads, reconciles }) => ({ leads: round(leads, 2), reconciles: round(reconciles, 2) }))
  const seconds = { crash: json('crash'), stop: json('stop') }
  const result = { bench: 'failover', tenants, runs, targets: targetsJson(targets), seconds }
  const headings = ['THE LEADER ENDED BY', 'RUN', 'THE OTHER LEADS AFTER', 'FIRST RECONCILE AFTER']
  return [targetsTable(targets), table(headings, rows), JSON.stringify(result)].join('\n\n')
}
