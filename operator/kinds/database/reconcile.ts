import { ANNOTATIONS, FINALIZER, isSet } from '@tenantry/crds/annotations.ts'
import { parseDuration } from '@tenantry/crds/common.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { AppError, asAppError } from '@tenantry/crds/errors.ts'
import { databaseName } from '@tenantry/engines/names.ts'
import { CONFIG_MAPS, SECRETS } from '../../kube/types.ts'
import { defectStatus } from '../../reconcile/findings.ts'
import type { Outcome, Target } from '../../reconcile/model.ts'
import type { Next } from '../../reconcile/next.ts'
import { nextAfter, sooner } from '../../reconcile/next.ts'
import { ownerOf, writeStatus } from '../../reconcile/object.ts'
import { reconcileTargets } from '../../reconcile/pipeline.ts'
import { report } from '../../reconcile/report.ts'
import type { Shard } from '../../shards/shard.ts'
import type { World } from '../../world.ts'
import { type Defect, defectOf } from '../decode.ts'
import { databaseDrift } from '../drift/findings.ts'
import { requestDriftLook } from '../drift/look.ts'
import { withRepairs } from '../drift/repairs.ts'
import { holdConnections, releaseDatabase } from './connections.ts'
import { databaseTarget } from './desired.ts'
import { requestResync } from './resync.ts'
import { filesForShard } from './rollout/files-for.ts'
import type { SchemaFile } from './rollout/plan.ts'
import { type Progress, progressOf } from './rollout/progress.ts'
import { rollOut } from './rollout/roll-out.ts'
import type { Wanted } from './rollout/wanted.ts'
import { lookAtShards, type ShardReport } from './shards.ts'
import { configMapNames } from './source-files.ts'
import { type DatabaseReport, databaseStatus } from './status.ts'

/** Looks after one Database: health of its shards, what it owns there, and the resync of all tenants on them. */
export async function reconcileDatabase(world: World, key: string, signal: AbortSignal): Promise<Next> {
  const database = world.databases.store.get(key)
  if (!database) {
    letGo(world, key)
    return { when: 'event' }
  }
  const { annotations, deletionTimestamp, finalizers } = database.metadata
  if (deletionTimestamp && !finalizers?.includes(FINALIZER)) return await leave(world, key, database)
  const defect = defectOf(database)
  const mayGo =
    deletionTimestamp !== undefined && (defect?.deletable !== false || isSet(annotations, ANNOTATIONS.abandon))
  if (defect && !mayGo) return await stall(world, database, defect)
  return deletionTimestamp ? await remove(world, key, database, signal) : await keep(world, key, database, signal)
}

/** Nothing is done on the strength of a spec that cannot be read, and what was made before stays. */
async function stall(world: World, database: Database, { message }: Defect): Promise<Next> {
  const at = { now: world.clock.now(), generation: database.metadata.generation }
  await writeStatus(world, world.databases, database, defectStatus(database.status, message, at))
  const { namespace, name } = database.metadata
  for (const tenant of world.tenants.store.byIndex('database', `${namespace}/${name}`)) {
    world.enqueue('Tenant', `${tenant.metadata.namespace}/${tenant.metadata.name}`, 'resync')
  }
  return { when: 'event' }
}

async function keep(world: World, key: string, seen: Database, signal: AbortSignal): Promise<Next> {
  const held = await holdConnections(world, key, seen)
  dropUnused(world, key, held.database)
  const { files, problems } = await readFiles(world, held.database)
  const shards = await lookAtShards(world, held.database)
  const rolled = files
    ? await rollOut(world, held.database, files)
    : { database: held.database, stored: held.database, problems }
  const { database } = rolled
  const wanted = (shard: string) => filesForShard(world, database, files ?? [], shard)
  const outcome = await run(world, database, { shards, wanted }, signal)
  const concluded = {
    ...conclude(database, { shards, outcome, wanted, problems: rolled.problems }),
    drift: databaseDrift(world, database),
  }
  await writeStatus(world, world.databases, rolled.stored, databaseStatus(database, concluded, world.clock.now()))
  requestResync(world, key, shards)
  requestDriftLook(world, database)
  return sooner(sooner(nextFor(world.random, database, concluded), held.lookAgainMs), rolled.lookAgainMs)
}

async function remove(world: World, key: string, database: Database, signal: AbortSignal): Promise<Next> {
  const tenants = world.tenants.store.byIndex('database', key)
  const shards = await lookAtShards(world, database)
  const inUse = tenants.length > 0 ? [tenantsLeft(key, tenants)] : []
  const untouched = tenants.length > 0 || defectOf(database)?.deletable === false
  const outcome = untouched ? NOTHING_DONE : await run(world, database, { shards, wanted: noFiles }, signal)
  if (tenants.length === 0 && isCleared(database, shards, outcome)) {
    return await leave(world, key, database)
  }
  const concluded = conclude(database, { shards, outcome, wanted: noFiles, problems: inUse })
  await writeStatus(world, world.databases, database, databaseStatus(database, concluded, world.clock.now()))
  return nextFor(world.random, database, concluded)
}

async function leave(world: World, key: string, database: Database): Promise<Next> {
  await releaseDatabase(world, database)
  letGo(world, key)
  return { when: 'event' }
}

const noFiles: WantedOf = () => ({ files: [], reverted: [] })

const NOTHING_DONE: Outcome = { targets: [], planHash: undefined }

/** The SQL files that a shard is to have. */
type WantedOf = (shard: string) => Wanted

/** An idle shard is left alone unless tenants still live on it. */
async function run(
  world: World,
  database: Database,
  { shards, wanted }: { shards: readonly ShardReport[]; wanted: WantedOf },
  signal: AbortSignal,
): Promise<Outcome> {
  const targets = shards.flatMap(({ spec, shard, state, tenants }) =>
    shard && (state !== 'Idle' || tenants > 0)
      ? [targetOn(world, database, { name: spec.name, shard, wanted: wanted(spec.name) })]
      : [],
  )
  const outcome = await reconcileTargets(ownerOf(world, 'Database', database), targets, signal)
  report(world, 'Database', database, outcome)
  return outcome
}

function targetOn(
  world: World,
  database: Database,
  { name, shard, wanted }: { name: string; shard: Shard; wanted: Wanted },
): Target {
  const target = databaseTarget(database, name, shard, wanted)
  const schema = databaseName(database.metadata)
  const isShared = database.spec.isolation === 'Row' && !database.metadata.deletionTimestamp
  return isShared ? withRepairs(world, target, { database, schema }) : target
}

async function readFiles(
  world: World,
  database: Database,
): Promise<{ files?: readonly SchemaFile[]; problems: readonly AppError[] }> {
  try {
    return { files: await world.files.read(database), problems: [] }
  } catch (error) {
    return { problems: [asAppError(error, `read the SQL files of Database ${database.metadata.name}`)] }
  }
}

function conclude(
  database: Database,
  parts: Pick<DatabaseReport, 'shards' | 'outcome' | 'problems'> & { wanted: WantedOf },
): DatabaseReport {
  const progress = new Map<string, Progress>()
  const versions = new Map<string, string>()
  for (const outcome of parts.outcome.targets) {
    const { target, found } = outcome
    const version =
      found === undefined ? undefined : target.shard.engine.schemaVersion(databaseName(database.metadata), found)
    if (version !== undefined) versions.set(target.label, version)
    const stands = progressOf(parts.wanted(target.label), outcome)
    if (stands) progress.set(target.label, stands)
  }
  const { shards, problems } = parts
  return { shards, outcome: parts.outcome, problems, versions, progress }
}

function tenantsLeft(key: string, tenants: readonly { metadata: { namespace: string; name: string } }[]): AppError {
  const some = tenants.slice(0, 5).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  const more = tenants.length > some.length ? ` and ${tenants.length - some.length} more` : ''
  return new AppError(
    'InUse',
    `delete Database ${key}: ${tenants.length} Tenants refer to it (${some.join(', ')}${more}); delete them or remove it from their spec.databases first`,
  )
}

/** A shard that cannot be reached does not hold up a deletion that would have dropped nothing there. */
function isCleared({ spec, metadata }: Database, shards: readonly ShardReport[], { targets }: Outcome): boolean {
  if (isSet(metadata.annotations, ANNOTATIONS.abandon)) return true
  const reached = spec.deletionPolicy === 'Retain' || shards.every(({ shard }) => shard)
  return reached && targets.every(({ error, held, remaining }) => !error && held.length === 0 && remaining.length === 0)
}

function dropUnused(world: World, key: string, database: Database): void {
  const { namespace } = database.metadata
  world.shards.retain(
    database.metadata,
    database.spec.shards.map(({ name }) => name),
  )
  world.references.release(key, [
    ...database.spec.shards.map((shard) => ({
      type: SECRETS,
      ref: { namespace, name: shard.connectionSecretRef.name },
    })),
    ...configMapNames(database).map((name) => ({ type: CONFIG_MAPS, ref: { namespace, name } })),
  ])
}

function letGo(world: World, key: string): void {
  const [namespace = '', name = ''] = key.split('/')
  world.shards.retain({ namespace, name }, [])
  world.references.release(key)
  world.files.forget(key)
  world.drift.forget(key)
  world.driftDue.delete(key)
  world.brakes.forget(key)
  world.lastCounted.delete(key)
}

/** Always looked at again after the interval, spread by a fifth so that Databases do not march in step. */
function nextFor(random: () => number, database: Database, { shards, outcome, problems }: DatabaseReport): Next {
  const intervalMs = parseDuration(database.spec.interval)
  const errors = [
    ...problems,
    ...shards.flatMap(({ problem }) => problem ?? []),
    ...outcome.targets.flatMap(({ error }) => error ?? []),
  ]
  const waiting = outcome.targets.some(({ held, remaining }) => held.length + remaining.length > 0)
  const next = nextAfter(errors, waiting, intervalMs)
  return next.when === 'event' ? { when: 'after', ms: intervalMs * (0.9 + 0.2 * random()) } : next
}
