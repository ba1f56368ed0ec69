import type { Database, ShardSpec } from '@tenantry/crds/database.ts'
import { type AppError, asAppError, type ErrorCode } from '@tenantry/crds/errors.ts'
import type { Health } from '@tenantry/engines/model.ts'
import type { Shard } from '../../shards/shard.ts'
import type { World } from '../../world.ts'

export type ShardState = 'Active' | 'Cordoned' | 'Idle' | 'Unreachable' | 'Misconfigured'

/** One shard of a Database as it was found. Without `shard` and `health` there is a problem. */
export interface ShardReport {
  readonly spec: ShardSpec
  readonly state: ShardState
  readonly tenants: number
  readonly shard?: Shard
  readonly health?: Health
  readonly problem?: AppError
}

/** What may pass by itself; anything else is somebody's mistake. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'Unreachable',
  'Timeout',
  'TooManyConnections',
  'ServerReadOnly',
  'OutOfSpace',
  'LockTimeout',
  'StatementFailed',
  'Internal',
])

/** Looks at every shard side by side; a sick one costs the others nothing. */
export async function lookAtShards(world: World, database: Database): Promise<readonly ShardReport[]> {
  return await Promise.all(database.spec.shards.map((spec, ordinal) => lookAt(world, database, spec, ordinal)))
}

async function lookAt(world: World, database: Database, spec: ShardSpec, ordinal: number): Promise<ShardReport> {
  const { namespace, name } = database.metadata
  const tenants = world.placements.countOn({ database: { namespace, name }, shard: spec.name })
  const lastKnown = database.metadata.deletionTimestamp !== undefined
  try {
    const shard = await world.shards.acquire(database, spec.name, { lastKnown })
    const health = await shard.health()
    return { spec, tenants, shard, health, state: stateOf(database, spec, ordinal) }
  } catch (error) {
    const problem = asAppError(error, `look at shard ${spec.name} of Database ${namespace}/${name}`)
    return { spec, tenants, problem, state: PASSING.has(problem.code) ? 'Unreachable' : 'Misconfigured' }
  }
}

/** The first `replicas` shards take tenants; those beyond keep what they have. */
function stateOf({ spec: { replicas } }: Database, { cordoned }: ShardSpec, ordinal: number): ShardState {
  if (ordinal >= replicas) return 'Idle'
  return cordoned ? 'Cordoned' : 'Active'
}
