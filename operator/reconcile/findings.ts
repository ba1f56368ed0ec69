import { clip } from '@tenantry/crds/common.ts'
import { type Condition, type Finding, removeCondition, setCondition } from '@tenantry/crds/conditions.ts'
import type { AppError } from '@tenantry/crds/errors.ts'
import type { PlanStatus } from '@tenantry/crds/plan.ts'
import { PLAN_CHANGES_MAX } from '@tenantry/crds/plan.ts'
import type { HeldReason, Outcome } from './model.ts'

/** Something that keeps an object from being ready. `code` becomes the condition's reason. */
export interface Problem {
  readonly code: string
  readonly message: string
  /** True when only a person or a change elsewhere can end it: shown as Stalled; else as Reconciling. */
  readonly stalled: boolean
}

export function problemOf(error: AppError): Problem {
  return { code: error.code, message: error.message, stalled: error.retry !== 'backoff' }
}

const HELD_MESSAGE: Readonly<Record<HeldReason, string>> = {
  Paused: 'held by the annotation tenantry.dev/paused; remove it to go on',
  PlanOnly: 'held because the Database is in mode Plan; read status.plan and set its spec.mode to Enforce',
  AwaitingApproval: 'held for approval; read status.plan and annotate with tenantry.dev/approved=',
  Conflict: 'held because an object in the way is not ours',
  MigrationChanged: 'held because a SQL file changed after it was applied',
}

/** One problem for all held changes of an object, or undefined when none are held. What is blocked explains itself. */
export function heldProblem({ targets, planHash }: Outcome): Problem | undefined {
  const held = targets.flatMap((target) => target.held)
  const blocked = held.find(({ change }) => change.blocked)
  const reason = blocked?.reason ?? held[0]?.reason
  if (reason === undefined) return undefined
  const hash = reason === 'AwaitingApproval' ? (planHash ?? '') : ''
  const message = blocked?.change.blocked?.message ?? `${countOf(held.length)} ${HELD_MESSAGE[reason]}${hash}`
  return { code: reason, message, stalled: true }
}

/** "1 change", "2 changes". */
export function countOf(changes: number): string {
  return `${changes} ${changes === 1 ? 'change' : 'changes'}`
}

/** The problem of a target that is not done and did not fail. */
export function unfinished(where: string, remaining: number): Problem {
  return { code: 'Applying', message: `${where}: ${countOf(remaining)} still to be made`, stalled: false }
}

/** The Held condition, there only while a person has to decide something. */
export function heldFindings(outcome: Outcome): readonly Finding[] {
  const problem = heldProblem(outcome)
  return problem ? [{ type: 'Held', status: 'True', reason: problem.code, message: problem.message }] : []
}

/** Ready with kstatus' Reconciling and Stalled beside it, which are there only while they are true. */
export function readiness(problems: readonly Problem[], ready: Omit<Finding, 'type' | 'status'>): readonly Finding[] {
  const [first] = problems.toSorted((a, b) => Number(b.stalled) - Number(a.stalled))
  if (!first) return [{ type: 'Ready', status: 'True', ...ready }]
  const message = [...new Set(problems.map((problem) => problem.message))].join('; ')
  const finding = { reason: first.code, message }
  return [
    { type: 'Ready', status: 'False', ...finding },
    { type: first.stalled ? 'Stalled' : 'Reconciling', status: 'True', ...finding },
  ]
}

/** The status of an object whose spec cannot be used: what is known stays as it is, with the reason beside it. */
export function defectStatus<S extends { readonly conditions?: readonly Condition[] | undefined }>(
  status: S | undefined,
  message: string,
  { now, generation }: { readonly now: Date; readonly generation: number },
): S & { readonly observedGeneration: number; readonly conditions: readonly Condition[] } {
  const findings = readiness([{ code: 'InvalidSpec', message, stalled: true }], { reason: '', message: '' })
  const stored = removeCondition(status?.conditions ?? [], 'Reconciling')
  const conditions = findings.reduce((list, finding) => setCondition(list, finding, now, generation), stored)
  return { ...(status as S), observedGeneration: generation, conditions }
}

/** Brings the stored conditions to exactly these findings; the same array when nothing differs. */
export function withFindings(
  stored: readonly Condition[],
  findings: readonly Finding[],
  { now, generation }: { readonly now: Date; readonly generation: number },
): readonly Condition[] {
  const types = new Set<string>(findings.map(({ type }) => type))
  const kept = stored.filter(({ type }) => types.has(type))
  const start = kept.length === stored.length ? stored : kept
  return findings.reduce((list, finding) => setCondition(list, finding, now, generation), start)
}

/** The plan as shown in status: held changes with their reasons first come, then what failed and will be retried. */
export function planStatus({ targets, planHash }: Outcome): PlanStatus | undefined {
  const changes = targets.flatMap(({ target, held, remaining }) => {
    const where = { engine: target.shard.engine.name, shard: target.shard.id }
    return [
      ...held.map(({ change, reason }) => ({
        ...where,
        op: change.op,
        risk: change.risk,
        summary: clip(change.summary),
        held: reason,
      })),
      ...remaining.map(({ op, risk, summary }) => ({ ...where, op, risk, summary: clip(summary) })),
    ]
  })
  if (changes.length === 0) return undefined
  const held = targets.reduce((sum, target) => sum + target.held.length, 0)
  return {
    ...(planHash && { hash: planHash }),
    changes: changes.slice(0, PLAN_CHANGES_MAX),
    held,
    total: changes.length,
  }
}
