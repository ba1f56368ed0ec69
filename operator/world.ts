import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { Semaphore } from '@tenantry/engines/semaphore.ts'
import type { Analyst } from './analysis/analyst.ts'
import type { Clock } from './clock.ts'
import type { Brakes } from './kinds/database/rollout/brakes.ts'
import type { SourceFiles } from './kinds/database/source-files.ts'
import type { DriftRecords } from './kinds/drift/records.ts'
import type { Placements } from './kinds/placements.ts'
import type { StoredSecret } from './kinds/tenant/stored-secret.ts'
import type { KubeClient } from './kube/client.ts'
import type { Recorder } from './kube/events.ts'
import type { Informer } from './kube/reflector.ts'
import type { KubeObject } from './kube/types.ts'
import type { Kind } from './reconcile/model.ts'
import type { References } from './references.ts'
import type { ShardPool } from './shards/shard-pool.ts'
import type { Log } from './telemetry/log.ts'
import type { Tracing } from './telemetry/tracing.ts'

/** Why an object is looked at: decides who goes first. */
export type Cause = 'delete' | 'change' | 'resync'

/** What reconciling counts; names and labels are the telemetry's. */
export interface ReconcileMetrics {
  changed(engine: string, op: string, risk: string): void
  drifted(engine: string): void
  fencingRejected(engine: string): void
  /** A settled object's part on a shard was compared with a snapshot of the whole shard. */
  compared(engine: string, same: boolean): void
  /** A schema was compared with what its SQL files make. */
  comparedSchema(engine: string, outcome: SchemaOutcome): void
}

export type SchemaOutcome = 'same' | 'differs' | 'unknown'

/** All that reconciling needs from outside, made in main.ts once. */
export interface World {
  readonly installation: string
  readonly client: KubeClient
  readonly clock: Clock
  /** A number from 0 to 1, for jitter. */
  readonly random: () => number
  readonly log: Log
  readonly recorder: Recorder
  readonly metrics: ReconcileMetrics
  readonly tracing: Tracing
  readonly tenants: Informer<Tenant>
  readonly databases: Informer<Database>
  /** Only what carries our label. */
  readonly secrets: Informer<StoredSecret>
  readonly namespaces: Informer<KubeObject>
  readonly references: References
  readonly shards: ShardPool
  readonly placements: Placements
  readonly files: SourceFiles
  /** Reads SQL files in a thread of its own. */
  readonly analyst: Analyst
  readonly brakes: Brakes
  /** When the counts of each Database's rollout were last written because they had moved, in monotonic milliseconds. */
  readonly lastCounted: Map<string, number>
  /** When each Database last resynced its tenants, in monotonic milliseconds. */
  readonly lastResync: Map<string, number>
  /** When a finalizer was last put on each connection Secret, by `namespace/name`, in monotonic milliseconds. */
  readonly heldSecrets: Map<string, { readonly uid: string | undefined; readonly at: number }>
  /** Keeps it to one shard at a time whose tenants are compared with its snapshot. */
  readonly comparing: Semaphore
  /** Schemas that are not as their SQL files make them. */
  readonly drift: DriftRecords
  /** When the tables of each Database are to be looked at next, in monotonic milliseconds. */
  readonly driftDue: Map<string, number>
  /** Asks for the tables on a shard, by `namespace/database/shard`, or of one of its schemas, to be compared with the SQL files. */
  readonly lookForDrift: (shard: string) => void
  /** A server refused a write because it has seen a newer leader: this process is none any more. */
  readonly deposed: () => void
  /** Asks for a reconcile. Before this process leads nothing is asked for: the first look decides from what is known then. */
  readonly enqueue: (kind: Kind, key: string, cause: Cause) => void
  /** A tenant has come further in the rollout of a Database, by `namespace/name`: it is looked at before long, once for many. */
  readonly progress: (database: string) => void
  /** Asks for a shard, by `namespace/database/shard`, to be read as a whole and its tenants to be compared with what is found. */
  readonly resync: (shard: string) => void
  /** Whether shards are being read as a whole, or wait to be. */
  readonly resyncing: () => boolean
}
