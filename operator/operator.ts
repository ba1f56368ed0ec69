import { randomUUID } from 'node:crypto'
import type { KubeConfig } from '@kubernetes/client-node'
import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import { GROUP, VERSION } from '@tenantry/crds/common.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { Analyst } from './analysis/analyst.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { PRIORITY_OF, type Queues, runController } from './controllers.ts'
import { runResyncs } from './kinds/database/resync.ts'
import { SourceFiles } from './kinds/database/source-files.ts'
import { decodeDatabase, decodeTenant } from './kinds/decode.ts'
import { runDriftLooks } from './kinds/drift/look.ts'
import { keepSecret, STORED_SECRETS } from './kinds/tenant/stored-secret.ts'
import { createClient, type KubeClient } from './kube/client.ts'
import { createRecorder } from './kube/events.ts'
import { writesInTerm } from './kube/in-term.ts'
import type { Informer } from './kube/informer.ts'
import { createInformer } from './kube/reflector.ts'
import type { RequestRecord } from './kube/requests.ts'
import { type KubeObject, keyOf, NAMESPACES, type ResourceType, SECRETS } from './kube/types.ts'
import { createMemory } from './memory.ts'
import type { PaceOptions } from './queue/pace.ts'
import { WorkQueue } from './queue/work-queue.ts'
import { References } from './references.ts'
import { ENGINES } from './shards/engines.ts'
import { ShardPool } from './shards/shard-pool.ts'
import type { Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { createTracing, type Tracing } from './telemetry/tracing.ts'
import { beginTerm, leaseName, type Term } from './term.ts'
import { connectWatches, onReference, TENANT_INDEXES, takeFirstLook } from './watches.ts'
import type { World } from './world.ts'

export const TENANTS: ResourceType<Tenant> = {
  group: GROUP,
  version: VERSION,
  plural: 'tenants',
  kind: 'Tenant',
  namespaced: true,
}
export const DATABASES: ResourceType<Database> = {
  group: GROUP,
  version: VERSION,
  plural: 'databases',
  kind: 'Database',
  namespaced: true,
}

/** Whatever an object goes through, and whoever fights over it: nothing is gained by more reconciles of it than these. */
const PACE = { burst: 20, refillMs: 100 } as const

/** Nor by more whole reads of a shard, which are costly. */
const RESYNC_PACE = { burst: 4, refillMs: 500 } as const

/** So long the news of tenants in a rollout are gathered before their Database looks at them. */
const PROGRESS_MS = 1_000

/** How long a server that did not answer is left alone. */
const COOL_DOWN_MS = 5_000

type Watching = Pick<Informer<KubeObject>, 'type' | 'hasSynced' | 'synced' | 'start'>

export interface OperatorOptions {
  readonly config: Config
  readonly kubeConfig: KubeConfig
  readonly log: Log
  readonly metrics: Metrics
  /** Default: off. */
  readonly tracing?: Tracing
  /** Names this process in events and on the Lease. */
  readonly instance: string
  /** Where the Lease is. */
  readonly namespace: string
}

/** A running operator. */
export interface Operator {
  readonly client: KubeClient
  readonly queues: Queues
  /** True once every informer holds everything; else why not. */
  ready(): true | string
  /** Resolves when this process leads no more and rejects when it cannot work: either way it should end. */
  readonly lost: Promise<void>
  /** Finishes what is under way, writes what is left to say, and closes every connection. */
  stop(): Promise<void>
}

/** Starts to watch and, once everything is known, to work. Returns at once; `ready` tells how far it is. */
export function startOperator(options: OperatorOptions): Operator {
  const { metrics } = options
  const stopped = new AbortController()
  const queues = createQueues(metrics)
  const term: TermHolder = {}
  const client = createOwnClient(options)
  const world = createWorld(options, client, { queues, term })
  const informers: readonly Watching[] = [world.tenants, world.databases, world.secrets, world.namespaces]
  connectWatches(world)
  connectMetrics(world, metrics)
  for (const informer of informers) informer.start(stopped.signal)
  const lost = Promise.withResolvers<void>()
  lost.promise.catch(() => undefined)
  const running = work(options, { client, world, queues, informers, term }, stopped.signal)
  running.then(lost.resolve, (error: unknown) => {
    if (!stopped.signal.aborted) lost.reject(error)
  })
  return {
    client,
    queues,
    ready: () => readiness(informers),
    lost: lost.promise,
    stop: async () => {
      await Promise.all(Object.values(queues).map((queue) => queue.shutDown()))
      stopped.abort()
      world.references.close()
      await world.recorder.flush()
      await world.shards.close()
      await world.analyst.close()
      await term.current?.release()
      await client.close()
    },
  }
}

/** The present term; sessions ask for its epoch at each write. */
interface TermHolder {
  current?: Term
}

interface Parts {
  /** Writes whether this process leads or not: the Lease has to be taken first. */
  readonly client: KubeClient
  readonly world: World
  readonly queues: Queues
  readonly informers: readonly Watching[]
  readonly term: TermHolder
}

/**
 * A warm standby first: everything is listed and watched, so that the term begins with what is known. Resolves when the
 * term was lost; what is under way then is aborted, and the fencing epoch stops what cannot be.
 */
async function work(
  options: OperatorOptions,
  { client, world, queues, informers, term }: Parts,
  stopped: AbortSignal,
): Promise<void> {
  const { config, metrics, log, instance, namespace } = options
  metrics.leading(leaseName(config), false)
  await Promise.all(informers.map((informer) => informer.synced()))
  const { clock, random } = world
  const candidate = { client, clock, log, random, namespace, identity: `${instance}_${randomUUID()}` }
  term.current = await beginTerm(config, candidate, stopped)
  const { epoch, lost } = term.current
  log.info({ epoch }, 'this process leads')
  metrics.leading(leaseName(config), true)
  await takeFirstLook(world)
  lost.addEventListener('abort', () => {
    metrics.leading(leaseName(config), false)
    for (const queue of Object.values(queues)) void queue.shutDown({ graceMs: 0 })
  })
  await Promise.all([
    runController('Database', { world, metrics, queue: queues.Database, concurrency: config.workers.databases }),
    runResyncs(world, queues.Shard),
    runDriftLooks(world, queues.Drift),
    runController('Tenant', { world, metrics, queue: queues.Tenant, concurrency: config.workers.tenants }),
  ])
}

function connectMetrics({ tenants, databases, shards, drift }: World, metrics: Metrics): void {
  metrics.tellDrift(() => drift.list().flatMap(({ engine, answer }) => (answer.differences.length > 0 ? [engine] : [])))
  for (const [kind, { store }] of Object.entries({ Tenant: tenants, Database: databases })) {
    store.onChange(({ object }: { object: KubeObject }) => {
      const key = keyOf(object)
      metrics.countConditions(kind, key, store.get(key))
    })
  }
  metrics.tellRollouts(() => databases.store.list())
  metrics.tellPools(() => shards.shards().map(({ engine, use }) => ({ engine: engine.name, ...use })))
  metrics.tellSnapshotAges(() =>
    shards
      .shards()
      .flatMap(({ engine, snapshotAgeSeconds }) =>
        snapshotAgeSeconds === undefined ? [] : [{ engine: engine.name, seconds: snapshotAgeSeconds }],
      ),
  )
}

function readiness(informers: readonly Watching[]): true | string {
  const waiting = informers.filter((informer) => !informer.hasSynced).map(({ type }) => type.plural)
  return waiting.length === 0 || `still listing ${waiting.join(', ')}`
}

function createQueues(metrics: Metrics): Queues {
  const queue = (name: string, pace: PaceOptions): WorkQueue =>
    new WorkQueue({ clock: systemClock, random: Math.random, observer: metrics.queueObserver(name), pace })
  return {
    Tenant: queue('tenant', PACE),
    Database: queue('database', PACE),
    Shard: queue('shard', RESYNC_PACE),
    Drift: queue('drift', RESYNC_PACE),
  }
}

function createOwnClient({ kubeConfig, log, metrics, tracing }: OperatorOptions): KubeClient {
  const onRequest = (record: RequestRecord): void => {
    metrics.requested(record)
    tracing?.requested(record)
  }
  return createClient({ kubeConfig, log, onRequest })
}

function createWorld(
  options: OperatorOptions,
  client: KubeClient,
  { queues, term }: { readonly queues: Queues; readonly term: TermHolder },
): World {
  const { config, log, metrics, instance, tracing = createTracing() } = options
  const informer = <T extends KubeObject>(type: ResourceType<T>, extra = {}): Informer<T> =>
    createInformer({ client, type, log, metrics: metrics.informers, ...extra })
  const selected = config.selector ? { labelSelector: config.selector } : {}
  const references = new References({
    clock: systemClock,
    open: (type, { namespace, name }) => informer(type, { namespace, fieldSelector: `metadata.name=${name}` }),
    onChange: (databases, content) => onReference(world, databases, content),
  })
  const analyst = new Analyst({ clock: systemClock })
  const world: World = {
    installation: config.installation,
    client: writesInTerm(client, () => term.current?.isOver() ?? true),
    clock: systemClock,
    random: Math.random,
    log,
    metrics,
    tracing,
    recorder: createRecorder({ client, clock: systemClock, component: `${GROUP}/operator`, instance, log }),
    tenants: informer(TENANTS, { indexes: TENANT_INDEXES, transform: decodeTenant, ...selected }),
    databases: informer(DATABASES, { transform: decodeDatabase, ...selected }),
    secrets: informer(STORED_SECRETS, { labelSelector: `${LABEL_MANAGED}=true`, transform: keepSecret }),
    namespaces: informer(NAMESPACES),
    references,
    shards: createShardPool({ ...options, tracing }, references, () => term.current?.epoch ?? 0),
    files: new SourceFiles(references, analyst),
    analyst,
    ...createMemory(),
    deposed: () => term.current?.end(),
    enqueue: (kind, key, cause) => {
      if (term.current) queues[kind].add(key, { priority: PRIORITY_OF[cause] })
    },
    progress: (database) => {
      if (term.current) queues.Database.add(database, { priority: PRIORITY_OF.change, afterMs: PROGRESS_MS })
    },
    resync: (shard) => queues.Shard.add(shard),
    resyncing: () => queues.Shard.depth + queues.Shard.running.length > 0,
    lookForDrift: (shard) => queues.Drift.add(shard),
  }
  return world
}

function createShardPool(
  { config, log, metrics, tracing }: OperatorOptions & { readonly tracing: Tracing },
  references: References,
  epoch: () => number,
): ShardPool {
  return new ShardPool({
    engines: ENGINES,
    clock: systemClock,
    onCall: (call) => {
      metrics.called(call)
      tracing.called(call)
    },
    maxConcurrentApplies: config.shardConnections,
    coolDownMs: COOL_DOWN_MS,
    session: {
      installation: config.installation,
      epoch,
      // Operators that take turns fence each other off; those with other selectors do not.
      fence: leaseName(config),
      connectTimeoutMs: config.connectTimeoutMs,
      statementTimeoutMs: config.statementTimeoutMs,
      maxConnections: config.shardConnections,
    },
    readSecret: ({ metadata: { namespace, name: database } }, name) =>
      references.get(`${namespace}/${database}`, SECRETS, { namespace, name }),
    onCloseError: (shard, err) => log.warn({ err, shard }, 'could not close the connections of a replaced shard'),
  })
}
