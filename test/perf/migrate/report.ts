import { table } from '../../../cli/table.ts'
import { median, round as rounded } from '../statistics.ts'

/** One file applied to all schemas of either side. */
export interface Round {
  readonly schemas: number
  readonly engineSeconds: number
  readonly floorSeconds: number
  /** The longest that a write took to a tenant whose turn came, and to one that no file was applied to. */
  readonly waitMs: number
  readonly bystanderWaitMs: number
}

interface Shape {
  readonly schemas: number
  readonly small: number
  readonly runs: number
  readonly connections: number
}

/** A table of all runs, and one line of JSON behind it. `ratio` is the median of each run's own, with all schemas. */
export function renderMigrate({ schemas, small, runs, connections }: Shape, rounds: readonly Round[]): string {
  const rows = rounds.map((one) => [
    String(one.schemas),
    one.floorSeconds.toFixed(2),
    one.engineSeconds.toFixed(2),
    ratioOf(one).toFixed(3),
    msPerSchema(one).toFixed(2),
    one.waitMs.toFixed(0),
    one.bystanderWaitMs.toFixed(0),
  ])
  const of = (count: number): readonly Round[] => rounds.filter((one) => one.schemas === count)
  const result = {
    bench: 'migrate',
    schemas,
    runs,
    connections,
    ratio: rounded(median(of(schemas).map(ratioOf)), 3),
    msPerSchema: rounded(median(of(schemas).map(msPerSchema)), 2),
    msPerSchemaOfFew: { schemas: small, ms: rounded(median(of(small).map(msPerSchema)), 2) },
    floorMsPerSchema: rounded(median(of(schemas).map((one) => (one.floorSeconds * 1_000) / one.schemas)), 2),
    longestWaitMs: {
      migrated: Math.round(Math.max(...rounds.map(({ waitMs }) => waitMs))),
      bystander: Math.round(Math.max(...rounds.map(({ bystanderWaitMs }) => bystanderWaitMs))),
    },
  }
  const headings = ['schemas', 'bare SQL s', 'engine s', 'ratio', 'ms each', 'longest write ms', 'beside ms']
  return [table(headings, rows), JSON.stringify(result)].join('\n\n')
}

function ratioOf({ engineSeconds, floorSeconds }: Round): number {
  return floorSeconds / engineSeconds
}

function msPerSchema({ engineSeconds, schemas }: Round): number {
  return (engineSeconds * 1_000) / schemas
}
