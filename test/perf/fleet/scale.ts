/** `scale`: `fleet`, `fair` and `failover` over one fleet, which takes much longer to make than to measure. */

import { measureFailover } from './failover.ts'
import { renderFailover } from './failover-report.ts'
import { LONG, measureFair, withHangingShard } from './fair.ts'
import { renderFair } from './fair-report.ts'
import { measureFleet } from './fleet.ts'
import { renderFleet } from './fleet-report.ts'
import type { FleetOptions } from './world.ts'

/** Resolves to what is to be printed: three reports, and on the last line the JSON of all of them. */
export async function scale(options: FleetOptions): Promise<string> {
  return await withHangingShard(options, async (fleet, proxy) => {
    const reports = [tell(options, renderFleet(options, await measureFleet(fleet)))]
    await fleet.setInterval(LONG)
    reports.push(tell(options, renderFair(options, await measureFair(fleet, proxy))))
    await fleet.setInterval(LONG)
    reports.push(tell(options, renderFailover(options, await measureFailover(fleet))))
    const parts = reports.map((report) => JSON.parse(report.split('\n').at(-1) ?? '{}'))
    return [...reports, JSON.stringify({ bench: 'scale', parts })].join('\n\n')
  })
}

/** At once as well: the whole takes long, and may be cut short. */
function tell({ log }: FleetOptions, report: string): string {
  log(report)
  return report
}
