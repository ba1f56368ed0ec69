import { compareVersions } from '@tenantry/engines/versions.ts'
import { table } from './table.ts'

/** What one schema still lacks. `sql` is there when it was asked for. */
export interface Pending {
  readonly tenant: string
  readonly shard: string
  readonly schema: string
  /** Absent: no file was applied yet. */
  readonly version?: string
  readonly files: readonly { readonly version: string; readonly name: string; readonly blocked?: string }[]
  readonly sql?: readonly string[]
}

/** What a Database's files would do now. */
export interface Forecast {
  readonly database: string
  /** Absent: the Database has no files. */
  readonly target?: string
  readonly members: readonly Pending[]
  readonly unplaced: readonly string[]
}

/** For programs: every member, also those that lack nothing. */
export function forecastJson({ members, ...forecast }: Forecast): string {
  const pending = members.filter(({ files }) => files.length > 0).length
  const versions = Object.fromEntries(byVersion(members))
  return `${JSON.stringify({ ...forecast, pending, versions, members }, undefined, 2)}\n`
}

/** For people: those that lack something, and the fleet by version. No line of the table is longer than `width`. */
export function forecastText(forecast: Forecast, width: number): string {
  const { members, database, target } = forecast
  const pending = members.filter(({ files }) => files.length > 0)
  const rows = pending.map(({ tenant, shard, version, files }) => [
    tenant,
    shard,
    version ?? '-',
    target ?? '-',
    files.map(({ name }) => name).join(', '),
  ])
  const head = ['TENANT', 'SHARD', 'VERSION', 'TARGET', 'PENDING']
  return [
    ...(rows.length > 0 ? [table(head, rows, width), ''] : []),
    ...pending.flatMap(scriptOf),
    ...reasons(pending),
    `Database ${database}: ${countOf(members.length, 'schema')}, ${pending.length} with files pending`,
    ...byVersion(members).map(
      ([version, count]) => `  at ${version}: ${count}${version === target ? ' (target)' : ''}`,
    ),
    ...unplacedLine(forecast),
    '',
  ].join('\n')
}

function scriptOf({ tenant, schema, sql }: Pending): readonly string[] {
  return sql === undefined ? [] : [`-- ${tenant}: schema ${schema}`, ...sql, '']
}

/** Each once: they are the same for all who wait for the same. */
function reasons(pending: readonly Pending[]): readonly string[] {
  const blocked = pending.flatMap(({ tenant, files }) =>
    files.slice(0, 1).flatMap((file) => (file.blocked === undefined ? [] : [`${tenant}: ${file.blocked}`])),
  )
  return blocked.length > 0 ? [...blocked.slice(0, MOST_TOLD), ...more(blocked.length - MOST_TOLD), ''] : []
}

const MOST_TOLD = 5

function more(count: number): readonly string[] {
  return count > 0 ? [`… and ${count} more`] : []
}

/** Versions with the number of members, the newest first. */
function byVersion(members: readonly Pending[]): readonly (readonly [string, number])[] {
  const groups = Map.groupBy(members, ({ version }) => version ?? 'none')
  return [...groups].map(([version, all]) => [version, all.length] as const).toSorted(([a], [b]) => newestFirst(a, b))
}

function newestFirst(a: string, b: string): number {
  if (a === 'none' || b === 'none') return Number(a === 'none') - Number(b === 'none')
  return compareVersions(b, a)
}

function unplacedLine({ unplaced }: Forecast): readonly string[] {
  return unplaced.length > 0 ? [`  without a place yet: ${unplaced.length}`] : []
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
