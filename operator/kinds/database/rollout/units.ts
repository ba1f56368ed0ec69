import { ANNOTATIONS, isSet } from '@tenantry/crds/annotations.ts'
import type { Database, ShardStatus } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { World } from '../../../world.ts'
import type { Unit } from './unit.ts'

type Named = Pick<Database, 'metadata'>

/** A tenant as the rollout of one Database sees it. Pure. */
export function tenantUnit({ metadata, spec, status }: Tenant, { metadata: { namespace, name } }: Named): Unit {
  const at = status?.databases?.find(({ databaseRef: ref }) => ref?.namespace === namespace && ref.name === name)
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    labels: metadata.labels ?? {},
    settled: at?.ready === true || at?.schemaVersion !== undefined || at?.schemaState !== undefined,
    suspended: spec.suspended || isSet(metadata.annotations, ANNOTATIONS.paused),
    version: at?.schemaVersion,
    state: at?.schemaState,
    digest: at?.schemaDigest,
    message: at?.message,
  }
}

/** A shard of shared tables as the rollout sees it: what came of it was last written into the Database's status. Pure. */
export function shardUnit({ status }: Pick<Database, 'status'>, name: string): Unit {
  const at: ShardStatus | undefined = status?.shards?.find((shard) => shard.name === name)
  const inUse = (at?.tenants ?? 0) > 0
  return {
    key: name,
    labels: {},
    settled: inUse || at?.schemaVersion !== undefined || at?.schemaState !== undefined,
    suspended: at?.state === 'Idle' && !inUse,
    version: at?.schemaVersion,
    state: at?.schemaState,
    digest: at?.schemaDigest,
    message: at?.message,
  }
}

/** Everybody to whom a Database's files come: its tenants, or its shards where the tables are shared. */
export function unitsOf({ tenants }: World, database: Database): readonly Unit[] {
  if (database.spec.isolation === 'Row') return database.spec.shards.map(({ name }) => shardUnit(database, name))
  const { namespace, name } = database.metadata
  return tenants.store
    .byIndex('database', `${namespace}/${name}`)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((tenant) => tenantUnit(tenant, database))
}
