import { ANNOTATIONS, FINALIZER, FINALIZER_CONNECTIONS, FINALIZER_IN_USE, isSet } from '@tenantry/crds/annotations.ts'
import { parseDuration } from '@tenantry/crds/common.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { statusOf } from '../../kube/errors.ts'
import { NAMESPACES, SECRETS, type Secret } from '../../kube/types.ts'
import { claim, claimWith, drop } from '../../reconcile/object.ts'
import type { World } from '../../world.ts'

/** How long a Secret that is being deleted waits to see whether its Database goes as well, as when an application is removed. */
const PATIENCE_MS = 30_000

/**
 * Claims a Database, and holds its connection Secrets with a finalizer, so that what is on the servers can be cleaned up whatever
 * is deleted first. Which Secrets is persisted before any of them is held; one that the spec names no more is let go. Nothing
 * is written where nothing differs. `lookAgainMs`: when a Secret that somebody deletes is to be let go.
 */
export async function holdConnections(
  world: World,
  key: string,
  seen: Database,
): Promise<{ readonly database: Database; readonly lookAgainMs?: number }> {
  if (isSet(seen.metadata.annotations, ANNOTATIONS.paused))
    return { database: await claim(world, world.databases, seen, {}) }
  const wanted = secretsOf(seen)
  const outdated = recorded(seen).filter((name) => !wanted.includes(name))
  const database = await record(world, seen, [...wanted, ...outdated])
  const waits = await Promise.all(wanted.map((name) => hold(world, key, database, name)))
  const lookAgain = waits.filter((ms) => ms !== undefined)
  const later = lookAgain.length > 0 ? { lookAgainMs: Math.min(...lookAgain) } : {}
  if (outdated.length === 0) return { database, ...later }
  for (const name of outdated) await letGo(world, database, name)
  return { database: await record(world, database, wanted), ...later }
}

/** Lets go of a Database that has nothing on its servers any more: of its Secrets first. A crash in between is made good. */
export async function releaseDatabase(world: World, database: Database): Promise<void> {
  const cleared = await drop(world, world.databases, database, FINALIZER)
  if (!cleared?.metadata.finalizers?.includes(FINALIZER_CONNECTIONS)) return
  for (const name of new Set([...recorded(database), ...secretsOf(database)])) await letGo(world, cleared, name)
  await drop(world, world.databases, cleared, FINALIZER_CONNECTIONS)
}

function secretsOf({ spec }: Database): readonly string[] {
  return [...new Set(spec.shards.map(({ connectionSecretRef }) => connectionSecretRef.name))]
}

async function record(world: World, database: Database, names: readonly string[]): Promise<Database> {
  const annotations = { [ANNOTATIONS.connections]: JSON.stringify(names.toSorted()) }
  return await claimWith(world, world.databases, database, { annotations, also: [FINALIZER_CONNECTIONS] })
}

function recorded({ metadata }: Database): readonly string[] {
  try {
    const names: unknown = JSON.parse(metadata.annotations?.[ANNOTATIONS.connections] ?? '[]')
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
  } catch {
    return []
  }
}

/** A Secret that is missing or cannot be read is told by whoever needs it. */
async function hold(world: World, key: string, database: Database, name: string): Promise<number | undefined> {
  const { namespace } = database.metadata
  const secret = await world.references.get(key, SECRETS, { namespace, name }).catch(() => undefined)
  if (!secret) return undefined
  const { deletionTimestamp, finalizers = [] } = secret.metadata
  const held = finalizers.includes(FINALIZER_IN_USE)
  if (deletionTimestamp === undefined) {
    if (!held && mayPut(world, secret, parseDuration(database.spec.interval))) await put(world, secret)
    return undefined
  }
  if (!held || (await isGoing(world, namespace))) return undefined
  // The clocks of two machines: what they differ by changes how long somebody waits, and nothing else.
  const left = Date.parse(deletionTimestamp) + PATIENCE_MS - world.clock.now().getTime()
  if (left > 0) return left
  await take(world, secret)
  return undefined
}

/** Whoever else writes the Secret and takes the finalizer away gets no fight: once an interval is enough. */
function mayPut({ heldSecrets, clock }: World, { metadata }: Secret, intervalMs: number): boolean {
  const name = `${metadata.namespace}/${metadata.name}`
  const last = heldSecrets.get(name)
  if (last && last.uid === metadata.uid && clock.monotonic() - last.at < intervalMs) return false
  heldSecrets.set(name, { uid: metadata.uid, at: clock.monotonic() })
  return true
}

/** Where it is not allowed the Database works as well as ever, but for the order of a deletion. */
async function put(world: World, secret: Secret): Promise<void> {
  try {
    await setFinalizers(world, secret, [...(secret.metadata.finalizers ?? []), FINALIZER_IN_USE])
  } catch (error) {
    const status = statusOf(error)
    if (status !== 403 && status !== 404 && status !== 422) throw error
    world.log.warn({ err: error }, 'could not hold a connection Secret; do not delete it before its Database')
  }
}

async function isGoing({ client }: World, namespace: string): Promise<boolean> {
  const found = await client.get(NAMESPACES, { name: namespace })
  return found?.metadata.deletionTimestamp !== undefined
}

/** Not where another Database needs it as well. Read anew: it is done once, and there may be no watch on it any more. */
async function letGo(world: World, database: Database, name: string): Promise<void> {
  if (world.databases.store.list().some((other) => needs(other, database, name))) return
  const secret = await world.client.get(SECRETS, { namespace: database.metadata.namespace, name })
  if (secret) await take(world, secret)
}

/** One that has let go of its servers needs none; of two that leave at a time the latter sees that of the former. */
function needs(other: Database, { metadata }: Database, name: string): boolean {
  const { namespace, uid, finalizers = [] } = other.metadata
  if (namespace !== metadata.namespace || uid === metadata.uid || !finalizers.includes(FINALIZER)) return false
  return secretsOf(other).includes(name) || (other.spec.shards.length === 0 && recorded(other).includes(name))
}

async function take(world: World, secret: Secret): Promise<void> {
  const { finalizers = [], namespace, name } = secret.metadata
  if (!finalizers.includes(FINALIZER_IN_USE)) return
  world.heldSecrets.delete(`${namespace}/${name}`)
  const left = finalizers.filter((finalizer) => finalizer !== FINALIZER_IN_USE)
  await setFinalizers(world, secret, left).catch((error: unknown) => {
    if (statusOf(error) !== 404) throw error
  })
}

/** With the version, so that nobody else's finalizer is lost and nothing is made anew. */
async function setFinalizers(world: World, secret: Secret, finalizers: readonly string[]): Promise<void> {
  const { resourceVersion } = secret.metadata
  const patch = { metadata: { resourceVersion, finalizers } }
  world.references.observe(SECRETS, await world.client.patch(SECRETS, secret.metadata, patch, { type: 'merge' }))
}
