/** `queue`: ours beside graphile-worker, pg-boss and BullMQ, in turns within one run, on the same two servers. */
import { measure, type Round, type Sizes } from './measure.ts'
import { renderQueue } from './report.ts'
import { withServers } from './servers.ts'
import { SIDES, type SideName } from './sides.ts'

export interface QueueBenchOptions {
  readonly runs: number
  readonly jobs: number
  readonly log: (line: string) => void
  readonly signal: AbortSignal
}

const SINGLES = 3000
const LATENCIES = 300

/** Resolves to what is to be printed, JSON on the last line. */
export async function queue({ runs, jobs, log, signal }: QueueBenchOptions): Promise<string> {
  const sizes: Sizes = { jobs, singles: SINGLES, latencies: LATENCIES }
  const names = Object.keys(SIDES) as SideName[]
  const rounds = Object.fromEntries(names.map((name) => [name, [] as Round[]])) as Record<SideName, Round[]>
  return await withServers({ log, signal }, async (servers) => {
    for (let i = 0; i < runs; i++) {
      for (const name of names) {
        signal.throwIfAborted()
        const side = await SIDES[name].open(servers)
        try {
          const found = await measure(side, sizes, signal)
          rounds[name].push(found)
          log(
            `round ${i + 1} of ${runs}, ${SIDES[name].title}: ${JSON.stringify(found, (_, v) => (typeof v === 'number' ? Math.round(v * 10) / 10 : v))}`,
          )
        } finally {
          await side.close()
        }
      }
    }
    return renderQueue(rounds)
  })
}
