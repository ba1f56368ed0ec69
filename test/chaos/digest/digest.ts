import type { Stage } from '../lifecycles/life.ts'
import { digestApi } from './api.ts'
import { digestClickHouse } from './clickhouse.ts'
import { digestPostgres } from './postgres.ts'
import { digestRedis } from './redis.ts'

/** One thing that is, and what is true of it. */
export type Entry = readonly [path: string, value: unknown]

/** Everything that a run has left in the API and in all engines, in words that are the same in every run. */
export type Digest = Readonly<Record<string, string>>

export async function digest(stage: Stage): Promise<Digest> {
  for (const { kind, metadata } of [...stage.tenants.store.list(), ...stage.databases.store.list()]) {
    stage.names.uid(metadata.uid, `${kind} ${metadata.namespace}/${metadata.name}`)
  }
  const parts = await Promise.all([
    digestApi(stage),
    digestPostgres(stage),
    digestRedis(stage),
    digestClickHouse(stage),
  ])
  const { canonical } = stage.names
  const entries = parts
    .flat()
    .map(([path, value]) => [canonical(path), JSON.stringify(sorted(value, canonical))] as const)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** Lists that have no order of their own come in the order of hashed names: sorted by what stands for those. */
function sorted(value: unknown, canonical: (text: string) => string): unknown {
  if (typeof value === 'string') return canonical(value)
  if (Array.isArray(value)) {
    const items = value.map((item) => sorted(item, canonical))
    return items.every((item) => typeof item === 'string') ? items.toSorted() : items
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => [canonical(key), sorted(item, canonical)] as const)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

export interface Difference {
  readonly path: string
  readonly want: string | undefined
  readonly got: string | undefined
}

/** What differs, except on masked paths. */
export function differences(want: Digest, got: Digest, masked: ReadonlySet<string>): readonly Difference[] {
  const paths = [...new Set([...Object.keys(want), ...Object.keys(got)])].toSorted()
  return paths
    .filter((path) => want[path] !== got[path] && !masked.has(path))
    .map((path) => ({ path, want: want[path], got: got[path] }))
}
