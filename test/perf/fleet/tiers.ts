import type { Database, DatabaseSpec } from '@tenantry/crds/database.ts'
import type { Connection, EngineName, MigrationFile } from '@tenantry/engines/model.ts'
import type { KubeClient } from '@tenantry/operator/kube/client.ts'
import { type KubeObject, SECRETS } from '@tenantry/operator/kube/types.ts'
import { DATABASES } from '@tenantry/operator/operator.ts'
import { file, makeSources, NAMESPACE, secretOf } from '../platform.ts'
import type { Servers } from './servers.ts'

/** A Database over several shards. */
export interface FleetTier {
  readonly name: string
  readonly engine: EngineName
  readonly isolation: DatabaseSpec['isolation']
  /** Shard `s0`, `s1`, …: how it is reached. */
  readonly shards: readonly Connection[]
  readonly files: readonly MigrationFile[]
}

/** A table and an index for each tenant in Postgres; in ClickHouse a table that all share. */
export function tiersOf({ postgres, redis, clickhouse }: Servers): readonly FleetTier[] {
  const orders =
    'create table orders (id bigint generated always as identity primary key, placed timestamptz not null);\n' +
    'create index on orders (placed);'
  const events =
    'CREATE TABLE IF NOT EXISTS events (tenant_id String, at DateTime) ENGINE = MergeTree ORDER BY (tenant_id, at);'
  const files = { oltp: [file('1', '0001_orders.sql', orders)], analytics: [file('1', '0001_events.sql', events)] }
  return [
    { name: 'oltp', engine: 'PostgreSQL', isolation: 'Schema', shards: postgres, files: files.oltp },
    { name: 'cache', engine: 'Redis', isolation: 'Prefix', shards: redis, files: [] },
    { name: 'analytics', engine: 'ClickHouse', isolation: 'Row', shards: clickhouse, files: files.analytics },
  ]
}

export function shardName(ordinal: number): string {
  return `s${ordinal}`
}

/** Where tenants go that come in this order: each tier's shards in turn. */
export function shardOf(
  { shards }: FleetTier,
  index: number,
): { readonly name: string; readonly connection: Connection } {
  const ordinal = index % shards.length
  const connection = shards[ordinal]
  if (!connection) throw new Error('the tier has no shards')
  return { name: shardName(ordinal), connection }
}

/** A number that differs whenever the placement does. */
export function placementOf(tiers: readonly FleetTier[], index: number): string {
  return tiers.map((tier) => shardOf(tier, index).name).join()
}

/** Creates the Secrets of all shards, the ConfigMap and the Database. `interval`: of the drift check, such as `2m`. */
export async function makeTier(kube: KubeClient, tier: FleetTier, interval: string): Promise<void> {
  const { name, engine, isolation, files } = tier
  const shards = tier.shards.map((connection, ordinal) => ({ connection, shard: shardName(ordinal) }))
  for (const { connection, shard } of shards) {
    const metadata = { namespace: NAMESPACE, name: `${name}-${shard}` }
    await kube.create(SECRETS, { metadata, data: secretOf(connection) })
  }
  await makeSources(kube, name, files)
  const spec = {
    engine,
    isolation,
    replicas: shards.length,
    interval,
    shards: shards.map(({ shard }) => ({ name: shard, connectionSecretRef: { name: `${name}-${shard}` } })),
    ...(files.length > 0 && { schema: { sources: [{ configMapRef: { name } }] } }),
  }
  const database = { metadata: { namespace: NAMESPACE, name }, spec } as unknown as Database
  await kube.create<KubeObject>(DATABASES, database)
}
