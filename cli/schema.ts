import type { AppliedFile, Drawn } from '@tenantry/engines/model.ts'
import { compareVersions } from '@tenantry/engines/versions.ts'
import { fleetArguments } from './arguments.ts'
import { type Fleet, readFleet } from './fleet.ts'
import { CommandError, type Io } from './run.ts'
import { ENDLESS, onCluster, onShard } from './sessions.ts'
import { table } from './table.ts'

/** Prints the history of a Database's files, or draws its tables. */
export async function schemaCommand(args: readonly string[], io: Io): Promise<number> {
  const { database, tenant, json, flags } = fleetArguments(args, ['diagram'])
  const fleet = await onCluster(io, (client) => readFleet(client, database, tenant))
  if (flags.has('diagram')) {
    io.out(await drawn(fleet, tenant !== undefined))
    return 0
  }
  const applied = await Promise.all(fleet.shards.map((shard) => historyOn(shard, tenant !== undefined)))
  const history = merged(applied.flat())
  const known = new Set(fleet.files.map(({ checksum }) => checksum))
  io.out(json ? `${JSON.stringify({ files: history }, undefined, 2)}\n` : asText(history, known, io.width))
  return 0
}

/** What the files make is the same on every shard. */
async function drawn(fleet: Fleet, ofTenant: boolean): Promise<string> {
  const [shard] = fleet.shards
  const [member] = shard?.members ?? []
  if (!shard || !member) throw new CommandError('there is no tenant in the Database whose server could draw it')
  const what: Drawn = ofTenant ? member : { files: fleet.files, shared: fleet.shared }
  return await onShard(shard, { readOnly: ofTenant }, async (session) => (await session.diagram?.(what, ENDLESS)) ?? '')
}

async function historyOn(shard: Fleet['shards'][number], ofTenant: boolean): Promise<readonly AppliedFile[]> {
  const schemas = ofTenant ? shard.members.map(({ schema }) => schema) : undefined
  return await onShard(shard, { readOnly: true }, async (session) => (await session.history?.(schemas, ENDLESS)) ?? [])
}

/** One entry for each text of each version, over all shards. Pure. */
export function merged(files: readonly AppliedFile[]): readonly AppliedFile[] {
  const groups = Map.groupBy(files, ({ version, checksum }) => `${version} ${checksum}`)
  const all = [...groups.values()].flatMap(([first, ...rest]) => (first ? [rest.reduce(together, first)] : []))
  return all.toSorted((a, b) => compareVersions(a.version, b.version) || timeOf(a.firstAt) - timeOf(b.firstAt))
}

function together(a: AppliedFile, b: AppliedFile): AppliedFile {
  return {
    ...a,
    firstAt: outermost([a.firstAt, b.firstAt], Math.min),
    lastAt: outermost([a.lastAt, b.lastAt], Math.max),
    live: a.live + b.live,
    retired: a.retired + b.retired,
    failures: a.failures + b.failures,
    by: [...new Set([...a.by, ...b.by])].toSorted(),
  }
}

function asText(files: readonly AppliedFile[], known: ReadonlySet<string>, width: number): string {
  if (files.length === 0) return 'no SQL file was applied yet\n'
  const rows = files.map(({ version, name, checksum, firstAt, lastAt, live, retired, failures, by }) => [
    version,
    known.has(checksum) ? name : `${name} (another text)`,
    minute(firstAt),
    minute(lastAt),
    String(live),
    String(retired),
    String(failures),
    by.join(', '),
  ])
  return `${table(['VERSION', 'FILE', 'FIRST', 'LAST', 'SCHEMAS', 'RETIRED', 'FAILED', 'BY'], rows, width)}\n`
}

function minute(at: Date | null): string {
  return at?.toISOString().slice(0, 16).replace('T', ' ') ?? '-'
}

/** What was never applied comes last. */
function timeOf(at: Date | null): number {
  return at?.getTime() ?? Number.MAX_SAFE_INTEGER
}

function outermost(times: readonly (Date | null)[], choose: (...times: readonly number[]) => number): Date | null {
  const known = times.flatMap((at) => at?.getTime() ?? [])
  return known.length > 0 ? new Date(choose(...known)) : null
}
