import { type AppError, asAppError } from '@tenantry/crds/errors.ts'
import { reconcileDatabase } from './kinds/database/reconcile.ts'
import { reconcileTenant } from './kinds/tenant/reconcile.ts'
import { KubeError } from './kube/errors.ts'
import { PRIORITY, type RunInfo, type WorkQueue } from './queue/work-queue.ts'
import type { Kind } from './reconcile/model.ts'
import type { Next } from './reconcile/next.ts'
import { isSettled, type Settleable } from './reconcile/object.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { ReconcileAbout } from './telemetry/tracing.ts'
import type { Cause, World } from './world.ts'

/** Longest time one reconcile may take before it is aborted and retried. */
const DEADLINE_MS = 120_000

type Reconciler = (world: World, key: string, signal: AbortSignal) => Promise<Next>

const RECONCILERS: Readonly<Record<Kind, Reconciler>> = { Tenant: reconcileTenant, Database: reconcileDatabase }

export interface ControllerOptions {
  readonly world: World
  readonly queue: WorkQueue
  readonly metrics: Metrics
  /** How many objects are worked on at a time. */
  readonly concurrency: number
}

/** One for each kind, one of shards that are to be read as a whole, and one of those whose tables are to be looked at. */
export type Queues = Readonly<Record<Kind | 'Shard' | 'Drift', WorkQueue>>

/** Who goes first: what is being deleted, then what somebody changed, then what is only looked at again. */
export const PRIORITY_OF: Readonly<Record<Cause, number>> = {
  delete: PRIORITY.finalize,
  change: PRIORITY.normal,
  resync: PRIORITY.resync,
}

/** Works through a queue until it is shut down: one reconcile per key at a time, and the next look as it says. */
export async function runController(
  kind: Kind,
  { world, queue, metrics, concurrency }: ControllerOptions,
): Promise<void> {
  const work = async (key: string, signal: AbortSignal, info: RunInfo): Promise<void> => {
    const started = world.clock.monotonic()
    const result = await world.tracing.reconcile(aboutRun(world, kind, key, info), () =>
      RECONCILERS[kind](world, key, signal).then(
        (next) => schedule(queue, key, next),
        (error: unknown) => retry(world, queue, { kind, key, error }),
      ),
    )
    metrics.reconciled(kind, result, (world.clock.monotonic() - started) / 1000)
  }
  const lanes = kind === 'Tenant' ? (key: string) => world.placements.shardsOf(key) : () => []
  await queue.run(work, { concurrency, deadlineMs: DEADLINE_MS, lanes, laneConcurrency: Math.ceil(concurrency / 2) })
}

function aboutRun(world: World, kind: Kind, key: string, { priority, attempt }: RunInfo): ReconcileAbout<Settleable> {
  const { store } = kind === 'Tenant' ? world.tenants : world.databases
  const cause = Object.entries(PRIORITY_OF).find(([, value]) => value === priority)?.[0] ?? String(priority)
  return { controller: kind.toLowerCase(), key, cause, attempt, object: () => store.get(key), settled: isSettled }
}

type Result = 'success' | 'requeue' | 'requeue_after' | 'error'

function schedule(queue: WorkQueue, key: string, next: Next): Result {
  if (next.when === 'backoff') {
    queue.retry(key)
    return 'requeue'
  }
  queue.forget(key)
  if (next.when === 'event') return 'success'
  queue.add(key, { priority: PRIORITY.resync, afterMs: next.ms })
  return 'requeue_after'
}

/** What the API server refuses to take cannot be in a status: an event has to say it. */
function tell(world: World, kind: Kind, key: string, { code, message }: AppError): void {
  const object: Settleable | undefined = (kind === 'Tenant' ? world.tenants : world.databases).store.get(key)
  const refused = code === 'KubernetesRejected'
  if (object && refused)
    world.recorder.event(object, { type: 'Warning', reason: code, action: 'Reconcile', note: message })
}

/** Only what the kind could not put into a status arrives here: the Kubernetes API refusing, an abort, a defect. */
function retry(
  world: World,
  queue: WorkQueue,
  { kind, key, error }: { kind: Kind; key: string; error: unknown },
): Result {
  const known = asAppError(error, `reconcile ${kind} ${key}`)
  const log = world.log.child({ kind, key, code: known.code })
  if (known.code === 'KubernetesConflict') log.debug('the object changed while it was reconciled; trying again')
  else log.error({ err: known }, 'could not reconcile')
  tell(world, kind, key, known)
  queue.retry(key, { notBeforeMs: known instanceof KubeError ? (known.retryAfterMs ?? 0) : 0 })
  return known.code === 'KubernetesConflict' ? 'requeue' : 'error'
}
