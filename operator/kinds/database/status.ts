import { coarseLatency, coarseSize } from '@tenantry/crds/coarse.ts'
import { clip } from '@tenantry/crds/common.ts'
import type { Finding } from '@tenantry/crds/conditions.ts'
import type { Database, DatabaseStatus, ShardStatus } from '@tenantry/crds/database.ts'
import type { AppError } from '@tenantry/crds/errors.ts'
import type { Health } from '@tenantry/engines/model.ts'
import {
  heldFindings,
  heldProblem,
  type Problem,
  planStatus,
  problemOf,
  readiness,
  unfinished,
  withFindings,
} from '../../reconcile/findings.ts'
import type { Outcome } from '../../reconcile/model.ts'
import type { DatabaseDrift } from '../drift/findings.ts'
import { rolloutFindings, rolloutProblems } from './rollout/findings.ts'
import type { Progress } from './rollout/progress.ts'
import type { ShardReport } from './shards.ts'

/** All that came of a Database. `versions` are those of the shared tables by shard. */
export interface DatabaseReport {
  readonly shards: readonly ShardReport[]
  readonly outcome: Outcome
  readonly versions: ReadonlyMap<string, string>
  /** Where the shards stand in the rollout of shared tables. */
  readonly progress: ReadonlyMap<string, Progress>
  /** What concerns no single shard: a missing ConfigMap, tenants that keep it from going. */
  readonly problems: readonly AppError[]
  /** Absent: nothing is known of the tables. */
  readonly drift?: DatabaseDrift
}

/** The whole status of a Database. Values that always move are coarse, so that looking writes nothing. Pure. */
export function databaseStatus(database: Database, report: DatabaseReport, now: Date): DatabaseStatus {
  const { metadata, status } = database
  const rollout = database.spec.schema && status?.rollout
  const problems = [...problemsOf(report), ...rolloutProblems(rollout)]
  const active = report.shards.filter(({ state }) => state === 'Active').length
  const ready = {
    reason: 'AllShardsReady',
    message: `${report.shards.length} of ${report.shards.length} shards answer`,
  }
  const held = heldFindings(report.outcome)
  const findings = [
    ...readiness(problems, ready),
    ...held,
    ...accessControl(report.shards),
    ...rolloutFindings(rollout, held.length > 0),
    ...(report.drift?.findings ?? []),
  ]
  const plan = planStatus(report.outcome)
  return {
    observedGeneration: metadata.generation,
    conditions: withFindings(status?.conditions ?? [], findings, { now, generation: metadata.generation }),
    replicas: active,
    selector: `tenantry.dev/database=${metadata.name}`,
    tenants: report.shards.reduce((sum, { tenants }) => sum + tenants, 0),
    ...(rollout?.target !== undefined && { schemaVersion: rollout.target }),
    ...(rollout && { rollout }),
    ...(report.drift && report.drift.drifted > 0 && { drifted: report.drift.drifted }),
    shards: report.shards.map((shard) => shardStatus(database, report, shard)),
    ...(plan && { plan }),
  }
}

function problemsOf({ shards, outcome, problems }: DatabaseReport): readonly Problem[] {
  const held = heldProblem(outcome)
  const looks = shards.flatMap(({ spec, problem }) =>
    problem ? [{ ...problemOf(problem), message: `shard ${spec.name}: ${problem.message}` }] : [],
  )
  const applies = outcome.targets.flatMap(({ target, error }) =>
    error ? [{ ...problemOf(error), message: `shard ${target.label}: ${error.message}` }] : [],
  )
  const moving = outcome.targets.flatMap(({ target, error, remaining }) =>
    !error && remaining.length > 0 ? [unfinished(`shard ${target.label}`, remaining.length)] : [],
  )
  return [...problems.map(problemOf), ...looks, ...(held ? [held] : []), ...applies, ...moving]
}

function accessControl(shards: readonly ShardReport[]): readonly Finding[] {
  const without = shards.filter(({ health }) => health && !health.accessControl).map(({ spec }) => spec.name)
  if (without.length > 0) {
    const message = `the server of ${without.join(', ')} cannot hold users and policies: tenants are kept apart by convention only`
    return [{ type: 'AccessControl', status: 'False', reason: 'Unsupported', message }]
  }
  if (!shards.some(({ health }) => health)) return []
  return [{ type: 'AccessControl', status: 'True', reason: 'Enforced', message: 'every server enforces its users' }]
}

/** What is shown stays until enough looks were taken: after a restart, the first of them says little. */
function latencyOf({ shard }: ShardReport, health: Health, shown: string | undefined): string {
  const known = shard?.latencyMs
  return known === undefined ? (shown ?? coarseLatency(health.latencyMs)) : coarseLatency(known, shown)
}

function shardStatus(database: Database, report: DatabaseReport, shard: ShardReport): ShardStatus {
  const { spec, state, tenants, health } = shard
  const before = database.status?.shards?.find(({ name }) => name === spec.name)
  const version = report.versions.get(spec.name)
  const error = shard.problem ?? report.outcome.targets.find(({ target }) => target.label === spec.name)?.error
  return {
    name: spec.name,
    state,
    ...(health && {
      version: clip(health.version, 128),
      latency: latencyOf(shard, health, before?.latency),
      size: coarseSize(health.sizeBytes, before?.size),
      // A key space has no tables, and its number of keys moves at every look.
      ...(database.spec.engine !== 'Redis' && { tables: health.tables }),
    }),
    tenants,
    ...(version !== undefined && { schemaVersion: version }),
    ...progressOf(before, report.progress.get(spec.name)),
    ...(error && { message: clip(error.message) }),
  }
}

/** Where nothing could be seen, it stands where it stood. */
function progressOf(before: ShardStatus | undefined, now: Progress | undefined): Partial<ShardStatus> {
  if (now || !before) return now ?? {}
  const { schemaState, schemaTarget, schemaDigest } = before
  const fields = Object.entries({ schemaState, schemaTarget, schemaDigest })
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined))
}
