import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { Change } from '@tenantry/engines/model.ts'
import type { World } from '../../../world.ts'
import type { SchemaFile } from './plan.ts'
import { isOfFile } from './progress.ts'
import { isFinished, isReached } from './reach.ts'
import type { Unit } from './unit.ts'
import { shardUnit, tenantUnit, unitsOf } from './units.ts'
import { type FilesView, filesView, type Wanted, wantedFiles } from './wanted.ts'

/** What a store hands out is never changed, and is asked for all its tenants. */
const VIEWS = new WeakMap<Database, { readonly files: readonly SchemaFile[]; readonly view: FilesView | undefined }>()

function viewOf(database: Database, files: readonly SchemaFile[]): FilesView | undefined {
  const known = VIEWS.get(database)
  if (known?.files === files) return known.view
  const view = filesView(database, files)
  VIEWS.set(database, { files, view })
  return view
}

/**
 * The SQL files that a Tenant is to have now, of a Database as it stands. Shared tables are brought by the Database: there they
 * say what the Tenant waits for. Throws AppError `DatabaseNotReady` before the first rollout has begun.
 */
export function filesForTenant(world: World, tenant: Tenant, database: Database, files: readonly SchemaFile[]): Wanted {
  const { namespace, name } = tenant.metadata
  if (database.spec.isolation !== 'Row') return filesFor(world, database, files, tenantUnit(tenant, database))
  const place = world.placements.chosen(`${namespace}/${name}`, database.metadata)
  const { files: shared } = filesFor(world, database, files, shardUnit(database, place?.shard ?? ''))
  return { files: shared, reverted: [] }
}

/** The SQL files of the shared tables on a shard; none where tenants have tables of their own. */
export function filesForShard(world: World, database: Database, files: readonly SchemaFile[], shard: string): Wanted {
  if (database.spec.isolation !== 'Row' || !database.status?.rollout) return { files: [], reverted: [] }
  return filesFor(world, database, files, shardUnit(database, shard))
}

function filesFor(world: World, database: Database, files: readonly SchemaFile[], unit: Unit): Wanted {
  const view = viewOf(database, files)
  if (!view && files.length > 0) {
    const { namespace, name } = database.metadata
    throw new AppError('DatabaseNotReady', `the SQL files of Database ${namespace}/${name} are not rolled out yet`)
  }
  return wantedFiles(view, unit, areBraked(world, database))
}

function areBraked(world: World, database: Database): boolean {
  const { rollout } = database.status ?? {}
  return rollout !== undefined && !isFinished(rollout) && world.brakes.areOn(database, () => unitsOf(world, database))
}

/**
 * Whether a change may still begin, asked when its turn on the server comes: meanwhile the rollout may have been paused, or others
 * have failed. Who has the files, or had its turn, may always.
 */
export function mayBegin(world: World, { metadata, spec }: Database, unit: Unit, wanted: Wanted) {
  const { digest, turn } = wanted
  const had = unit.digest === digest && (unit.state === 'AtTarget' || unit.state === 'Failed')
  const free = turn !== 'reached' || had || !unit.settled
  return (change: Change): boolean => {
    if (free || !isOfFile(change)) return true
    const now = world.databases.store.get(`${metadata.namespace}/${metadata.name}`)
    const rollout = now?.status?.rollout
    if (!now || rollout?.digest !== digest || rollout === undefined) return false
    return isReached(rollout, spec.schema?.rollout?.canary, unit) && !areBraked(world, now)
  }
}
