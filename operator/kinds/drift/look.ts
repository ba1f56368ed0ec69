import { clip, parseDuration } from '@tenantry/crds/common.ts'
import { findCondition } from '@tenantry/crds/conditions.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { SchemaAnswer, SchemaSubject } from '@tenantry/engines/model.ts'
import { databaseName, objectName } from '@tenantry/engines/names.ts'
import { sleep } from '../../clock.ts'
import type { WorkQueue } from '../../queue/work-queue.ts'
import type { SchemaOutcome, World } from '../../world.ts'
import { databaseDrift } from './findings.ts'
import { wordsOf } from './words.ts'

/** Of one call to a shard: others get their turn between two. */
const SCHEMAS_AT_ONCE = 500
/** One shard at a time: nobody waits for what is found. */
const LOOKS_AT_A_TIME = 1
const DEADLINE_MS = 3_600_000
/** How long, at most, and how often it is looked whether a resync is over. */
const GIVES_WAY_MS = 60_000
const PATIENCE_MS = 1_000
/** Part of the interval after which a look is due, so that every timed reconcile in its time finds it so. */
const DUE_AFTER = 0.9

/** A schema to be looked at, and whose it is: a Tenant's key, or nothing for shared tables. */
interface Place extends SchemaSubject {
  readonly key?: string
}

/**
 * Once a drift interval: has the tables on every shard compared with what the SQL files make. It goes on by itself. After a start
 * the first look is put off by a part of the interval, so that a fleet that was just read is not read again at once.
 */
export function requestDriftLook(world: World, database: Database): void {
  const { schema } = database.spec
  const key = `${database.metadata.namespace}/${database.metadata.name}`
  if (database.spec.engine !== 'PostgreSQL' || !schema || database.metadata.deletionTimestamp) return
  const now = world.clock.monotonic()
  const intervalMs = parseDuration(schema.driftInterval)
  const due = world.driftDue.get(key) ?? now + world.random() * Math.min(intervalMs, FIRST_WITHIN_MS)
  if (now < due) {
    world.driftDue.set(key, Math.min(due, now + intervalMs))
    return
  }
  world.driftDue.set(key, now + intervalMs * DUE_AFTER)
  for (const { name } of database.spec.shards) world.lookForDrift(`${key}/${name}`)
}

const FIRST_WITHIN_MS = 600_000

/** Works through the shards whose tables are to be looked at, until the queue is shut down. */
export async function runDriftLooks(world: World, queue: WorkQueue): Promise<void> {
  await queue.run((key, signal) => lookForDrift(world, key, signal), {
    concurrency: LOOKS_AT_A_TIME,
    deadlineMs: DEADLINE_MS,
  })
}

/** `key`: `namespace/database/shard`, and for one schema alone `/schema`. A look that fails is made again an interval later. */
async function lookForDrift(world: World, key: string, signal: AbortSignal): Promise<void> {
  const [namespace = '', name = '', shard = '', schema] = key.split('/')
  const database = world.databases.store.get(`${namespace}/${name}`)
  if (!database?.spec.schema || database.metadata.deletionTimestamp) return
  const all = placesOn(world, database, shard)
  const look = { database, shard, id: `${namespace}/${name}/${shard}` }
  try {
    if (database.spec.schema.drift === 'Ignore') forgetAll(world, look, all)
    else if (schema === undefined) await lookAtAll(world, look, all, signal)
    else
      await lookAt(
        world,
        look,
        all.filter((place) => place.schema === schema),
      )
  } catch (error) {
    world.log.warn({ err: error, shard: key }, 'could not compare tables with the SQL files; the next look will')
  }
}

/** Whatever keeps a tenant from being changed, looking at its tables changes nothing. */
function placesOn(world: World, database: Database, shard: string): readonly Place[] {
  if (database.spec.isolation === 'Row') return [{ schema: databaseName(database.metadata) }]
  const keys = world.placements.tenantsOn({ database: database.metadata, shard })
  return keys.flatMap((key) => {
    const tenant = world.tenants.store.get(key)
    if (!tenant || tenant.metadata.deletionTimestamp) return []
    const schema = objectName(tenant.metadata, database.metadata)
    return [{ schema, tenant: key, key, ...(database.spec.isolation === 'Database' && { place: schema }) }]
  })
}

interface Look {
  readonly database: Database
  readonly shard: string
  /** `namespace/database/shard`. */
  readonly id: string
}

/** The Database hears of it when there is more or less to tell than before. */
async function lookAtAll(world: World, look: Look, places: readonly Place[], signal: AbortSignal): Promise<void> {
  world.drift.retain(
    look.id,
    places.map(({ schema }) => schema),
  )
  const reasons: (string | undefined)[] = []
  for (let start = 0; start < places.length; start += SCHEMAS_AT_ONCE) {
    await whenCalm(world, signal)
    reasons.push(await lookAt(world, look, places.slice(start, start + SCHEMAS_AT_ONCE)))
  }
  world.drift.looked(
    look.id,
    reasons.find((reason) => reason !== undefined),
  )
  if (!isToldOf(world, look.database)) enqueueDatabase(world, look.database)
}

/** A resync is what others wait for: the look gives way to it, for a while. */
async function whenCalm(world: World, signal: AbortSignal): Promise<void> {
  for (let waited = 0; world.resyncing() && waited < GIVES_WAY_MS; waited += PATIENCE_MS) {
    await sleep(world.clock, PATIENCE_MS, signal)
  }
  signal.throwIfAborted()
}

/** Whether the Database's status says what is known now. */
function isToldOf(world: World, { metadata }: Database): boolean {
  const database = world.databases.store.get(`${metadata.namespace}/${metadata.name}`)
  if (!database) return true
  const told = findCondition(database.status?.conditions, 'SchemaDrifted')
  const { findings, drifted } = databaseDrift(world, database)
  const [finding] = findings
  return (
    (database.status?.drifted ?? 0) === drifted &&
    told?.status === finding?.status &&
    told?.message === (finding && clip(finding.message))
  )
}

/** Gives the reason why one of the schemas could not be judged, if there is one. */
async function lookAt(world: World, look: Look, places: readonly Place[]): Promise<string | undefined> {
  const shard = await world.shards.acquire(look.database, look.shard)
  const files = await world.files.read(look.database)
  const shared = look.database.spec.isolation === 'Row'
  const answers = await shard.compareSchemas({ files, shared, subjects: places })
  const bySchema = new Map(answers.map((answer) => [answer.schema, answer]))
  for (const place of places) {
    const answer = bySchema.get(place.schema)
    if (answer) note(world, look, place, answer)
  }
  return answers.find(({ unknown }) => unknown !== undefined)?.unknown
}

/** Asks for a reconcile where the status would say something else than it does; what is as it should be costs nothing. */
function note(world: World, look: Look, place: Place, answer: SchemaAnswer): void {
  const { engine } = look.database.spec
  world.metrics.comparedSchema(engine, outcomeOf(answer))
  // Who cannot be judged stays as it was; the Database tells why.
  if (answer.unknown !== undefined) return
  const object = objectOf(world, look, place)
  const before = world.drift.get(look.id, place.schema)
  const told = findCondition(object?.status?.conditions, 'SchemaDrifted')
  if (!object || (answer.differences.length === 0 && !told)) {
    world.drift.delete(look.id, place.schema)
    return
  }
  const repairs = look.database.spec.schema?.drift === 'Repair' ? answer.repairs : []
  world.drift.set({ shard: look.id, engine, answer, repairs })
  const known = before ? wordsOf(before.answer) === wordsOf(answer) : isTold(place, answer, told?.message)
  if (!known && answer.differences.length > 0) tell(world, object, answer)
  if (!known || !told || repairs.length > 0) enqueue(world, look, place)
}

/** After a start the condition alone knows what was told; a Database's may tell of more schemas than this. */
function isTold({ key }: Place, answer: SchemaAnswer, told: string | undefined): boolean {
  return told !== undefined && (key === undefined || told.includes(wordsOf(answer)))
}

function outcomeOf({ unknown, differences }: SchemaAnswer): SchemaOutcome {
  if (unknown !== undefined) return 'unknown'
  return differences.length > 0 ? 'differs' : 'same'
}

function objectOf(world: World, { database }: Look, { key }: Place): Database | Tenant | undefined {
  return key === undefined ? database : world.tenants.store.get(key)
}

function tell(world: World, object: Database | Tenant, answer: SchemaAnswer): void {
  const text = `tables are not as the SQL files make them: ${wordsOf(answer)}`
  world.recorder.event(object, { type: 'Warning', reason: 'SchemaDrifted', action: 'CompareSchemas', note: text })
}

function forgetAll(world: World, look: Look, places: readonly Place[]): void {
  for (const place of places) {
    const told = findCondition(objectOf(world, look, place)?.status?.conditions, 'SchemaDrifted')
    if (told || world.drift.get(look.id, place.schema)) enqueue(world, look, place)
  }
  world.drift.forget(look.id)
  if (findCondition(look.database.status?.conditions, 'SchemaDrifted')) enqueueDatabase(world, look.database)
}

function enqueue(world: World, { database }: Look, { key }: Place): void {
  if (key === undefined) enqueueDatabase(world, database)
  else world.enqueue('Tenant', key, 'resync')
}

function enqueueDatabase(world: World, { metadata }: Database): void {
  world.enqueue('Database', `${metadata.namespace}/${metadata.name}`, 'resync')
}
