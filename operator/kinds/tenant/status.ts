import { isDeepStrictEqual } from 'node:util'
import { ANNOTATIONS } from '@tenantry/crds/annotations.ts'
import { clip } from '@tenantry/crds/common.ts'
import { type Finding, findCondition, setCondition } from '@tenantry/crds/conditions.ts'
import type { AppError } from '@tenantry/crds/errors.ts'
import type { Tenant, TenantDatabase, TenantDatabaseStatus, TenantStatus } from '@tenantry/crds/tenant.ts'
import type { SchemaAnswer } from '@tenantry/engines/model.ts'
import { tenantId } from '@tenantry/engines/names.ts'
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
import type { Outcome, TargetOutcome } from '../../reconcile/model.ts'
import type { Progress } from '../database/rollout/progress.ts'
import { type DriftNote, driftFindings, isWatched } from '../drift/findings.ts'
import type { Place } from '../placements.ts'
import type { Binding } from './bindings.ts'
import type { Credential } from './secrets.ts'
import type { Verdict } from './verify.ts'

/** All that came of one entry. */
export interface BindingReport {
  readonly name: string
  readonly entry: TenantDatabase | undefined
  readonly place?: Place
  readonly binding?: Binding
  readonly credentials: readonly Credential[]
  readonly outcome?: TargetOutcome
  readonly verdict?: Verdict
  readonly schemaVersion?: string
  /** How its tables differ from what the SQL files make, as the last look found. */
  readonly drift?: SchemaAnswer
  readonly progress?: Progress
  /** What kept the entry from being resolved, applied, proven or brought to the wanted version. */
  readonly problem?: AppError
}

/** The whole status of a Tenant from what came of its entries. Pure. */
export function tenantStatus(
  tenant: Tenant,
  reports: readonly BindingReport[],
  outcome: Outcome,
  now: Date,
): TenantStatus {
  const { generation } = tenant.metadata
  const problems = problemsOf(reports, outcome)
  const wanted = reports.filter(({ entry }) => entry)
  const done = wanted.filter((report) => isReady(report)).length
  const findings = [
    ...readiness(problems, readyFinding(tenant, wanted.length)),
    ...heldFindings(outcome),
    ...facts(tenant, reports),
    ...driftFindings(tenant.status?.conditions, reports.flatMap(driftNote)),
  ]
  const plan = planStatus(outcome)
  return {
    observedGeneration: generation,
    conditions: withFindings(tenant.status?.conditions ?? [], findings, { now, generation }),
    tenantId: tenantId(tenant.metadata),
    databasesReady: `${done}/${wanted.length}`,
    databases: reports.map((report) => databaseStatus(tenant, report)),
    ...(plan && { plan }),
  }
}

/** Shared tables are the Database's to tell of. */
function driftNote({ name, entry, binding, drift }: BindingReport): readonly DriftNote[] {
  if (!entry || !binding || binding.database.spec.isolation === 'Row' || !isWatched(binding.database)) return []
  return [{ name, ...(drift && { answer: drift }) }]
}

/** Whether the Tenant's status already says all that one entry's report would make it say. Pure. */
export function isRecorded(tenant: Tenant, report: BindingReport): boolean {
  const { verdict, problem, name } = report
  if (!verdict || problem || verdict.proof.verdict === 'leaking') return false
  const { evidence } = namedProof(report, verdict)
  const type = verdict.proof.verdict === 'isolated' ? 'Isolated' : 'AccessControl'
  const told = findCondition(tenant.status?.conditions, type)
  if (told?.status !== (type === 'Isolated' ? 'True' : 'False')) return false
  if (!told.message.includes(sentences([{ name, ...verdict.proof, evidence }]))) return false
  const stored = tenant.status?.databases?.find((status) => status.name === name)
  return isDeepStrictEqual(stored, JSON.parse(JSON.stringify(databaseStatus(tenant, report))))
}

/** What is known stays as it is, with the pause beside it. A Tenant that was never looked at is not ready. */
export function pausedStatus({ status = {} }: Tenant, now: Date): TenantStatus {
  const stored = status.conditions ?? []
  const message = `nothing is done while the annotation ${ANNOTATIONS.paused} is set; remove it to go on`
  const ready = findCondition(stored, 'Ready')
  const findings: Finding[] = [{ type: 'Held', status: 'True', reason: 'Paused', message }]
  if (!ready) findings.push({ type: 'Ready', status: 'False', reason: 'Paused', message })
  const generation = status.observedGeneration ?? 0
  const conditions = findings.reduce((list, finding) => setCondition(list, finding, now, generation), stored)
  return { ...status, conditions }
}

function isReady({ outcome, problem, verdict }: BindingReport): boolean {
  return (
    outcome !== undefined &&
    problem === undefined &&
    outcome.held.length === 0 &&
    outcome.remaining.length === 0 &&
    verdict !== undefined &&
    verdict.proof.verdict !== 'leaking'
  )
}

function problemsOf(reports: readonly BindingReport[], outcome: Outcome): readonly Problem[] {
  const errors = reports.flatMap(({ name, problem }) =>
    problem ? [{ ...problemOf(problem), message: `${name}: ${problem.message}` }] : [],
  )
  const leaks = reports.flatMap(({ name, verdict }) =>
    verdict?.proof.verdict === 'leaking'
      ? [{ code: 'NotIsolated', message: `${name}: ${verdict.proof.evidence}`, stalled: true }]
      : [],
  )
  const moving = reports.flatMap(({ name, outcome: one, problem }) =>
    !problem && one && one.remaining.length > 0 ? [unfinished(name, one.remaining.length)] : [],
  )
  const held = heldProblem(outcome)
  return [...leaks, ...(held ? [held] : []), ...errors, ...moving]
}

function readyFinding({ spec }: Tenant, count: number): Pick<Finding, 'reason' | 'message'> {
  const databases = `${count} ${count === 1 ? 'database' : 'databases'}`
  if (spec.suspended) return { reason: 'Suspended', message: `${databases} kept as specified, with all logins blocked` }
  return { reason: 'AllDatabasesReady', message: `${databases} as specified` }
}

/** Conditions that say what is, whether the Tenant is ready or not. */
function facts(tenant: Tenant, reports: readonly BindingReport[]): readonly Finding[] {
  const proofs = reports.flatMap((report) => (report.verdict ? [namedProof(report, report.verdict)] : []))
  const unsupported = proofs.filter(({ verdict }) => verdict === 'unsupported')
  const findings: Finding[] = [isolated(proofs)]
  if (unsupported.length > 0) {
    findings.push({ type: 'AccessControl', status: 'False', reason: 'Unsupported', message: sentences(unsupported) })
  } else if (proofs.length > 0) {
    findings.push({
      type: 'AccessControl',
      status: 'True',
      reason: 'Enforced',
      message: 'every server enforces its users',
    })
  }
  if (tenant.spec.suspended) {
    findings.push({
      type: 'Suspended',
      status: 'True',
      reason: 'Requested',
      message: 'logins are blocked, data is kept',
    })
  }
  return findings
}

/** A login that has proven it once is not tried again before its credential changes; that it was is part of the evidence. */
function namedProof({ name, credentials }: BindingReport, { proof, proven }: Verdict): NamedProof {
  const tried = credentials.length > 0 && credentials.every(({ access }) => proven[access] !== undefined)
  const evidence = tried && proof.verdict === 'isolated' ? `${proof.evidence}; proven by logging in` : proof.evidence
  return { name, verdict: proof.verdict, evidence }
}

type NamedProof = { readonly name: string } & Verdict['proof']

function isolated(proofs: readonly NamedProof[]): Finding {
  const of = (verdict: NamedProof['verdict']) => proofs.filter((proof) => proof.verdict === verdict)
  const [leaking, proven] = [of('leaking'), of('isolated')]
  if (leaking.length > 0)
    return { type: 'Isolated', status: 'False', reason: 'NotIsolated', message: sentences(leaking) }
  if (proven.length > 0) return { type: 'Isolated', status: 'True', reason: 'Proven', message: sentences(proven) }
  const reason = proofs.length > 0 ? 'Unsupported' : 'NotYetProven'
  return { type: 'Isolated', status: 'Unknown', reason, message: sentences(proofs) || 'nothing could be proven yet' }
}

function sentences(proofs: readonly NamedProof[]): string {
  return proofs.map(({ name, evidence }) => `${name}: ${evidence}`).join('; ')
}

function databaseStatus(tenant: Tenant, report: BindingReport): TenantDatabaseStatus {
  const { name, binding, credentials, place, problem, verdict } = report
  const before = tenant.status?.databases?.find((status) => status.name === name)
  const ready = isReady(report)
  const message = problem?.message ?? (verdict?.proof.verdict === 'leaking' ? verdict.proof.evidence : undefined)
  return {
    name,
    ...(before && credentials.length === 0 && keptFrom(before)),
    ...(place && { databaseRef: place.database, shard: place.shard }),
    ...(binding && { engine: binding.shard.engine.name, ...binding.address }),
    ...(binding && loginStatus(report)),
    ...schemaOf(report, before),
    ready,
    ...(message !== undefined && { message: clip(message) }),
  }
}

/** Where nothing could be seen, it stands where it stood: a rollout counts on that. */
function schemaOf({ schemaVersion, progress, outcome }: BindingReport, before: TenantDatabaseStatus | undefined) {
  const unseen = outcome?.found === undefined
  return {
    ...(before && unseen && pick(before, ['schemaVersion'])),
    ...(before && !progress && pick(before, ['schemaState', 'schemaTarget', 'schemaDigest'])),
    ...(schemaVersion !== undefined && { schemaVersion }),
    ...progress,
  }
}

function pick(
  status: TenantDatabaseStatus,
  names: readonly (keyof TenantDatabaseStatus)[],
): Partial<TenantDatabaseStatus> {
  return Object.fromEntries(names.flatMap((name) => (status[name] === undefined ? [] : [[name, status[name]]])))
}

/** Identity outlives trouble, and the end of what it names: what was once written is what a later deletion goes by. */
function keptFrom(status: TenantDatabaseStatus): Partial<TenantDatabaseStatus> {
  return pick(status, ['engine', 'database', 'schema', 'keyPrefix', 'secretName', 'login', 'schemaVersion'])
}

function loginStatus({ credentials, verdict }: BindingReport): Partial<TenantDatabaseStatus> {
  const readWrite = credentials.find(({ access }) => access === 'ReadWrite')
  const readOnly = credentials.find(({ access }) => access === 'ReadOnly')
  const main = readWrite ?? readOnly
  const proven = verdict?.proven ?? {}
  return {
    ...(main && { secretName: main.secretName, login: main.login }),
    ...(readOnly && { readOnlyLogin: readOnly.login }),
    ...(proven.ReadWrite !== undefined && { credential: proven.ReadWrite }),
    ...(proven.ReadOnly !== undefined && { readOnlyCredential: proven.ReadOnly }),
  }
}
