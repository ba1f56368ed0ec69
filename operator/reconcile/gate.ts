import { createHash } from 'node:crypto'
import { approves } from '@tenantry/crds/annotations.ts'
import type { Change } from '@tenantry/engines/model.ts'
import type { Gated, Held, HeldReason, Policy } from './model.ts'

/**
 * Decides which of one target's changes run now. Pure. Changes come in dependency order, so once one change is held
 * everything behind it is held as well. Under `retain` a drop of data is not a change at all.
 */
export function gate(policy: Policy, changes: readonly Change[], planHash?: string): Gated {
  const wanted = policy.retain ? changes.filter((change) => !dropsData(change)) : changes
  const stop = stopsAll(policy, wanted)
  if (stop) return { run: [], held: wanted.map((change) => ({ change, reason: change.blocked?.code ?? stop })) }
  const approved = approves(policy.approved, planHash)
  const run: Change[] = []
  const held: Held[] = []
  for (const change of wanted) {
    const reason = holds(policy, change, approved) ?? behind(change, held)
    if (reason) held.push({ change, reason })
    else run.push(change)
  }
  return { run, held }
}

/** What would be dropped from a customer's data: kept under `deletionPolicy: Retain`. */
export function dropsData(change: Change): boolean {
  return change.op === 'drop' && change.target.data
}

/**
 * A short hash over held changes: equal plans have equal hashes, so an approval names exactly what was shown. Changes that
 * already ran are not part of it, so approving stays possible while safe changes go on.
 */
export function hashOf(
  held: readonly { readonly label: string; readonly held: readonly Held[] }[],
): string | undefined {
  const lines = held.flatMap((target) =>
    target.held.map(({ change }) =>
      JSON.stringify([target.label, change.op, change.target.id, change.risk, change.fields]),
    ),
  )
  if (lines.length === 0) return undefined
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)
}

function stopsAll(policy: Policy, changes: readonly Change[]): HeldReason | undefined {
  if (policy.paused) return 'Paused'
  if (changes.some((change) => change.blocked?.code === 'Conflict' && !isReleased(policy, change))) return 'Conflict'
  if (policy.mode === 'Plan') return 'PlanOnly'
  return undefined
}

function holds(policy: Policy, change: Change, approved: boolean): HeldReason | undefined {
  if (change.blocked && !isReleased(policy, change)) return change.blocked.code
  if (approved || policy.approval === 'Automatic') return undefined
  return policy.approval === 'All' || change.risk === 'destructive' ? 'AwaitingApproval' : undefined
}

/** A changed file holds only itself and later files, which the engine marks; a decision holds all that depends on it. */
function behind(change: Change, held: readonly Held[]): HeldReason | undefined {
  return held.find((earlier) => earlier.reason === 'AwaitingApproval' && earlier.change !== change)?.reason
}

function isReleased(policy: Policy, change: Change): boolean {
  return policy.adopt && change.blocked?.adoptable === true
}
