import { randomUUID } from 'node:crypto'
import { FIELD_MANAGER, FINALIZER, LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import { API_VERSION } from '@tenantry/crds/common.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { clickhouse } from '@tenantry/engines/clickhouse/engine.ts'
import { newPassword } from '@tenantry/engines/credential.ts'
import type { SessionOptions } from '@tenantry/engines/model.ts'
import { objectName, tenantId } from '@tenantry/engines/names.ts'
import { postgres } from '@tenantry/engines/postgres/engine.ts'
import { redis } from '@tenantry/engines/redis/engine.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import { type Api, secretsPath, tenantsPath } from '../api.ts'
import { type CpuTimes, cpuGrowth, cpuTimes } from '../cpu.ts'
import { type Platform, SIDE, type Tier } from '../platform.ts'
import { Stopwatch } from '../stopwatch.ts'
import { createTenants } from '../tenants.ts'
import { clickhouseDriver } from './clickhouse.ts'
import { type Lane, laneOf, type Place } from './lane.ts'
import { postgresDriver } from './postgres.ts'
import { redisDriver } from './redis.ts'

const APPLY = 'application/apply-patch+yaml'
const MERGE = 'application/merge-patch+json'
const { signal } = new AbortController()

/** Processor time is for each tenant, see cpu.ts. */
export interface FloorRun {
  readonly seconds: number
  readonly watch: Stopwatch
  readonly cpu: CpuTimes
}

/** The least that has to be done to make tenants, done by bare drivers. */
export interface Floor {
  /** Makes the tenants and resolves to what it took; verifies and removes them outside the measured time. */
  run(names: readonly string[], sample: Tenant): Promise<FloorRun>
  close(): Promise<void>
}

/**
 * In it, for each tenant: the object's creation, the merge patch with finalizer and placement, one apply for each Secret, one
 * of the status (as large as `sample`'s, which the operator made); on each engine the statements that the engine's own
 * comparison asks for, in as many transactions, with real verifiers and hashes; and where a server keeps users, a
 * connection as the tenant with one query. Tenants run side by side as the operator's workers do, with as many
 * connections to each shard as it has.
 *
 * Not in it: any look at what is there (two reads of ClickHouse excepted, see clickhouse.ts), comparing, reading again after
 * the apply, the proof of isolation beyond the login, watches, events, logs and metrics.
 */
export function openFloor(platform: Platform, api: Api): Floor {
  const { config } = platform
  const lanes = platform.tiers.map((tier) => openLane(tier, sessionOptions(platform)))
  const workers = new Semaphore(config.workers.tenants)
  const shards = new Map(lanes.map((lane) => [lane, new Semaphore(config.shardConnections)]))
  return {
    async run(names, sample) {
      const members = new Map(names.map((name) => [name, placesOf(platform, lanes, name)]))
      for (const lane of lanes) await lane.plan([...members.values()].flatMap((places) => places.get(lane) ?? []))
      const watch = new Stopwatch()
      const make = (tenant: Tenant): Promise<void> => {
        const places = members.get(tenant.metadata.name) ?? new Map<Lane, Place>()
        return workers.run(() => makeTenant({ platform, api, watch, shards, sample }, tenant, places), signal)
      }
      const before = cpuTimes()
      const begin = performance.now()
      await createTenants(api, platform, { names, side: 'floor' }, { made: make })
      const seconds = (performance.now() - begin) / 1000
      const cpu = cpuGrowth(before, cpuTimes(), names.length)
      await cleanUp(platform, api, members)
      return { seconds, watch, cpu }
    },
    close: async () => {
      await Promise.all(lanes.map((lane) => lane.close()))
    },
  }
}

function sessionOptions({ config }: Platform): SessionOptions {
  const { installation, connectTimeoutMs, statementTimeoutMs, shardConnections: maxConnections } = config
  return { installation, connectTimeoutMs, statementTimeoutMs, maxConnections }
}

function openLane(tier: Tier, options: SessionOptions): Lane {
  switch (tier.engine) {
    case 'PostgreSQL':
      return laneOf(tier, postgres, postgresDriver(tier, options.maxConnections), options)
    case 'Redis':
      return laneOf(tier, redis, redisDriver(tier), options)
    case 'ClickHouse':
      return laneOf(tier, clickhouse, clickhouseDriver(tier, options.maxConnections), options)
  }
}

type Places = ReadonlyMap<Lane, Place>

function placesOf({ namespace, config }: Platform, lanes: readonly Lane[], tenant: string): Places {
  const key = { namespace, name: tenant }
  const owner = { installation: config.installation, kind: 'Tenant', ...key, uid: randomUUID() } as const
  const place = (lane: Lane): Place => {
    const name = objectName(key, { namespace, name: lane.tier.name })
    return { owner, name, tenantId: tenantId(key), login: lane.loginName(name), password: newPassword() }
  }
  return new Map(lanes.map((lane) => [lane, place(lane)]))
}

interface Work {
  readonly platform: Platform
  readonly api: Api
  readonly watch: Stopwatch
  readonly shards: ReadonlyMap<Lane, Semaphore>
  readonly sample: Tenant
}

/** In the operator's order: finalizer and placement first, a Secret before its login, the status last. */
async function makeTenant(work: Work, tenant: Tenant, places: Places): Promise<void> {
  const { api, watch, sample } = work
  const { namespace, name, uid, resourceVersion } = tenant.metadata
  const path = `${tenantsPath(namespace)}/${name}`
  const annotations = sample.metadata.annotations ?? {}
  const claim = { metadata: { resourceVersion, finalizers: [FINALIZER], annotations } }
  await watch.time('API finalizer', () => api.send('PATCH', path, JSON.stringify(claim), MERGE))
  await Promise.all([...places].map(([lane, place]) => makePlace(work, tenant, lane, place)))
  const status = statusLike(work, tenant, places)
  const body = { apiVersion: API_VERSION, kind: 'Tenant', metadata: { namespace, name, uid }, status }
  const apply = `${path}/status?fieldManager=${FIELD_MANAGER}&force=true`
  await watch.time('API status', () => api.send('PATCH', apply, JSON.stringify(body), APPLY))
}

async function makePlace(work: Work, tenant: Tenant, lane: Lane, place: Place): Promise<void> {
  const { api, watch, shards } = work
  const secret = secretFor(tenant, lane, place)
  const { namespace, name } = secret.metadata
  const path = `${secretsPath(namespace)}/${name}?fieldManager=${FIELD_MANAGER}`
  await watch.time('API Secret', () => api.send('PATCH', path, JSON.stringify(secret), APPLY))
  const { engine } = lane.tier
  await shards.get(lane)?.run(() => watch.time(`${engine} apply`, () => lane.make(place)), signal)
  const { logIn } = lane
  if (logIn) await watch.time(`${engine} login`, () => logIn(place))
}

/** The label is not the operator's, whose informer would hold it; it is as long. */
function secretFor({ metadata, apiVersion }: Tenant, lane: Lane, place: Place) {
  const data = Object.entries({ ...lane.secretData(place), tenantId: place.tenantId })
  const { namespace, name, uid } = metadata
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      namespace,
      name: `${name}-${lane.tier.name}`,
      labels: { [LABEL_MANAGED]: 'floor' },
      ownerReferences: [{ apiVersion, kind: 'Tenant', name, uid, controller: true }],
    },
    type: 'Opaque',
    data: Object.fromEntries(data.map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
  }
}

/** The sample's status with this tenant's names. */
function statusLike({ sample }: Work, { metadata }: Tenant, places: Places): unknown {
  const renamed = [...places].map(([{ tier }, place]): [string, string] => {
    const database = { namespace: metadata.namespace, name: tier.name }
    return [objectName(sample.metadata, database), place.name]
  })
  const pairs = [...renamed, [tenantId(sample.metadata), tenantId(metadata)], [sample.metadata.name, metadata.name]]
  return JSON.parse(
    pairs.reduce((text, [from = '', to = '']) => text.replaceAll(from, to), JSON.stringify(sample.status)),
  )
}

/** First proves that nothing was left out: the engines find nothing to do for any of the tenants. */
async function cleanUp({ namespace }: Platform, api: Api, members: ReadonlyMap<string, Places>): Promise<void> {
  const byLane = Map.groupBy(
    [...members.values()].flatMap((places) => [...places]),
    ([lane]) => lane,
  )
  for (const [lane, entries] of byLane) {
    const places = entries.map(([, place]) => place)
    await lane.verify(places)
    await lane.remove(places)
  }
  const slots = new Semaphore(16)
  const free = JSON.stringify({ metadata: { finalizers: null } })
  const release = (name: string): Promise<string> =>
    slots.run(() => api.send('PATCH', `${tenantsPath(namespace)}/${name}`, free, MERGE), signal)
  await Promise.all([...members.keys()].map(release))
  await api.send('DELETE', `${tenantsPath(namespace)}?labelSelector=${SIDE}=floor`)
}
