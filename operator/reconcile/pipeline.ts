import { type AppError, asAppError } from '@tenantry/crds/errors.ts'
import type { Batch, Change, Owner } from '@tenantry/engines/model.ts'
import { gate, hashOf } from './gate.ts'
import type { Gated, Outcome, Target, TargetOutcome } from './model.ts'

interface Looked {
  readonly target: Target
  readonly changes: readonly Change[]
  readonly found: unknown
  readonly error?: AppError
}

interface Planned extends Looked {
  readonly gated: Gated
}

/**
 * The one way through: observe → diff → gate → apply → look again, for all targets of one object side by side. A target
 * that fails does not stop the others. Never throws but when `signal` aborts.
 */
export async function reconcileTargets(
  owner: Owner,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<Outcome> {
  const looked = await Promise.all(targets.map((target) => look(owner, target, signal)))
  const { planned, planHash } = plan(looked)
  const outcomes = await Promise.all(planned.map((part) => act(owner, part, signal)))
  signal.throwIfAborted()
  return { targets: outcomes, planHash }
}

/** The outcome of a look at a snapshot that shows all as it should be; undefined when anything differs that may not stay. Pure. */
export function asWanted(owner: Owner, target: Target, found: unknown): TargetOutcome | undefined {
  const changes = target.shard.engine.diff(owner, target.wanted, found)
  const { run, held } = gate(target.policy, changes)
  return run.length + held.length > 0 ? undefined : { target, changes, applied: [], held, remaining: run, found }
}

async function look(owner: Owner, target: Target, signal: AbortSignal): Promise<Looked> {
  try {
    const found = await target.shard.read(target.scope, signal)
    const changes = target.shard.engine.diff(owner, target.wanted, found)
    return { target, found, changes: changes.length > 0 ? changes : (target.more?.() ?? []) }
  } catch (error) {
    return { target, found: undefined, changes: [], error: asAppError(error, `observe ${target.shard.id}`) }
  }
}

/** The hash is known only once everything is gated, and an approval of that hash releases what it names. */
function plan(looked: readonly Looked[]): { planned: readonly Planned[]; planHash: string | undefined } {
  const gateAll = (hash?: string): Planned[] =>
    looked.map((part) => ({ ...part, gated: gate(part.target.policy, part.changes, hash) }))
  const hash = hashOf(gateAll().map((part) => ({ label: part.target.label, held: part.gated.held })))
  const planned = gateAll(hash)
  return { planned, planHash: planned.some((part) => part.gated.held.length > 0) ? hash : undefined }
}

async function act(owner: Owner, part: Planned, signal: AbortSignal): Promise<TargetOutcome> {
  const { target, changes, found, gated } = part
  const still = { target, changes, applied: [], held: gated.held, remaining: [], found }
  if (part.error) return { ...still, error: part.error }
  if (gated.run.length === 0) return still
  try {
    const applied = await target.shard.apply(() => batchOf(owner, part), target.scope, signal)
    const { done, failed } = applied
    target.tried?.(failed ? [...done, failed.change] : done, failed)
    const outcome = await lookAgain(owner, part, applied.done, signal)
    return applied.failed ? { ...outcome, error: applied.failed.error } : outcome
  } catch (error) {
    return { ...still, remaining: gated.run, error: asAppError(error, `apply to ${target.shard.id}`) }
  }
}

/** What may begin now that its turn has come. What may not holds back all behind it. */
function batchOf(owner: Owner, { target, gated }: Planned): Batch {
  const { secrets, run, mayBegin } = target
  const stop = mayBegin ? gated.run.findIndex((change) => !mayBegin(change)) : -1
  const changes = stop < 0 ? gated.run : gated.run.slice(0, stop)
  return { owner, changes, secrets, ...(run && { run }) }
}

/** A green status rests on what was read after the apply, not on the apply having thrown nothing; a red one tells how far it got. */
async function lookAgain(
  owner: Owner,
  part: Planned,
  applied: readonly Change[],
  signal: AbortSignal,
): Promise<TargetOutcome> {
  const { target, changes } = part
  const again = await look(owner, target, signal)
  const { run, held } = gate(target.policy, again.changes)
  const outcome = { target, changes, applied, held, remaining: run, found: again.found }
  return again.error ? { ...outcome, error: again.error } : outcome
}
