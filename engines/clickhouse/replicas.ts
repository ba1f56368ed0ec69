import { AppError } from '@tenantry/crds/errors.ts'
import type { Call, Link } from './client.ts'
import { rest } from './mutations.ts'
import { literal } from './quote.ts'

/** A row of system.clusters. */
export interface ClusterRow {
  readonly cluster: string
  readonly shard: number
  readonly replica: number
  readonly host: string
  readonly port: number
  readonly local: boolean
}

/** The servers that hold the same data as the one we are connected to, as one of its clusters names them. */
export interface ReplicaSet {
  readonly cluster: string
  /** By the number that `clusterAllReplicas` gives each. */
  readonly hosts: ReadonlyMap<number, string>
  readonly local: number
}

/** A table as one replica has it; `hash` is over its columns and keys. */
export interface ReplicaTable {
  readonly replica: number
  readonly name: string
  readonly engine: string
  readonly hash: string
}

/** Whether all tables are replicated, or those alone whose engine says so. */
export type Extent = 'all' | 'engines'

/** The replica sets that this server is in, the largest first. A cluster of which every replica is this server is none. */
export function replicaSets(rows: readonly ClusterRow[]): readonly ReplicaSet[] {
  const sets = [...Map.groupBy(rows, ({ cluster }) => cluster)].flatMap(([cluster, all]) => setOf(cluster, all) ?? [])
  return sets.toSorted((a, b) => b.hosts.size - a.hosts.size || (a.cluster < b.cluster ? -1 : 1))
}

function setOf(cluster: string, rows: readonly ClusterRow[]): ReplicaSet | undefined {
  const ordered = rows.toSorted((a, b) => a.shard - b.shard || a.replica - b.replica)
  const addresses = [...new Map(ordered.map((row) => [`${row.host}:${row.port}`, row])).values()]
  const own = addresses.findIndex(({ local }) => local)
  const numbered = addresses.map((row, i) => [i + 1, row] as const)
  const alike = numbered.filter(([, row]) => row.shard === addresses[own]?.shard)
  if (own < 0 || !alike.some(([, row]) => !row.local)) return undefined
  return { cluster, local: own + 1, hosts: new Map(alike.map(([n, { host, port }]) => [n, `${host}:${port}`])) }
}

/** A Replicated database makes a cluster of its own name. */
export function setFor(sets: readonly ReplicaSet[], database: string): ReplicaSet | undefined {
  return sets.find(({ cluster }) => cluster === database) ?? sets[0]
}

/** In one sentence for people, the first difference between this server and another; undefined when there is none. */
export function disagreement(tables: readonly ReplicaTable[], set: ReplicaSet, extent: Extent): string | undefined {
  const replicated = tables.filter(({ engine }) => extent === 'all' || engine.startsWith('Replicated'))
  const on = (replica: number) => new Map(replicated.filter((t) => t.replica === replica).map((t) => [t.name, t.hash]))
  const own = on(set.local)
  for (const [replica, host] of set.hosts) {
    const there = on(replica)
    const lacking = [...own.keys()].find((name) => !there.has(name))
    if (lacking !== undefined) return `replica ${host} lacks table ${lacking}`
    const more = [...there.keys()].find((name) => !own.has(name))
    if (more !== undefined) return `replica ${host} still has table ${more}`
    const other = [...own].find(([name, hash]) => there.get(name) !== hash)
    if (other) return `replica ${host} has other columns or keys in table ${other[0]}`
  }
  return undefined
}

/** The statement that reads what all servers of a cluster have of a database. */
export function replicaQuery(cluster: string, database: string): string {
  const [of, name] = [literal(cluster), literal(database)]
  return `SELECT toUInt32(replica) AS replica, name, max(engine) AS engine, toString(groupBitXor(hash)) AS hash,
      (SELECT engine FROM system.databases WHERE name = ${name}) AS kind
    FROM (
      SELECT shardNum() AS replica, name, engine,
        cityHash64('table', engine, partition_key, sorting_key, primary_key, sampling_key) AS hash
      FROM clusterAllReplicas(${of}, system.tables) WHERE database = ${name}
      UNION ALL
      SELECT shardNum(), table, '', cityHash64('column', name, type, default_kind, default_expression)
      FROM clusterAllReplicas(${of}, system.columns) WHERE database = ${name}
    ) GROUP BY replica, name`
}

/**
 * Waits until every replica of this server has the tables of the database as it has them itself; asks nothing where there is none.
 * Throws AppError `Timeout` when one has not within the time.
 */
export async function verifyReplicas(
  link: Link,
  { database, sets, waitMs }: { database: string; sets: readonly ReplicaSet[]; waitMs: number },
  call: Call,
): Promise<void> {
  const set = setFor(sets, database)
  if (!set) return
  const doing = `${call.doing}: compare with the replicas of cluster ${set.cluster}`
  const begun = performance.now()
  for (;;) {
    const sql = replicaQuery(set.cluster, database)
    const rows = await link.rows<ReplicaTable & { kind: string }>(sql, { doing, signal: call.signal })
    const difference = disagreement(rows, set, rows[0]?.kind === 'Replicated' ? 'all' : 'engines')
    if (difference === undefined) return
    if (performance.now() - begun >= waitMs) {
      const advice = 'look at system.replication_queue and system.distributed_ddl_queue there'
      throw new AppError('Timeout', `${doing}: ${difference}, after ${waitMs} ms; ${advice}`)
    }
    await rest(500, call)
  }
}
