import type { Change } from '@tenantry/engines/model.ts'
import type { World } from '../world.ts'
import type { Kind, Outcome, TargetOutcome } from './model.ts'
import { isSettled, type Settleable } from './object.ts'

/** Tells metrics, log and events what a reconcile found and did. Events are for what nobody asked for: a creation makes none. */
export function report(world: World, kind: Kind, object: Settleable, { targets }: Outcome): void {
  const settled = isSettled(object)
  for (const outcome of targets) {
    count(world, outcome, settled)
    if (outcome.applied.length > 0) logApplied(world, kind, object, outcome)
    for (const note of notesOf(outcome, settled)) world.recorder.event(object, note)
  }
}

function count(world: World, { target, applied, changes, error }: TargetOutcome, settled: boolean): void {
  const engine = target.shard.engine.name
  for (const { op, risk } of applied) world.metrics.changed(engine, op, risk)
  if (settled && changes.length > 0) world.metrics.drifted(engine)
  if (error?.code === 'Fenced') stepDown(world, engine)
}

function stepDown({ metrics, deposed }: World, engine: string): void {
  metrics.fencingRejected(engine)
  deposed()
}

function logApplied({ log }: World, kind: Kind, { metadata }: Settleable, { target, applied }: TargetOutcome): void {
  const changes = applied.map(({ summary }) => summary)
  log.info(
    { kind, namespace: metadata.namespace, name: metadata.name, shard: target.shard.id, changes },
    'applied a plan',
  )
}

type Note = Parameters<World['recorder']['event']>[1]

function notesOf({ target, applied, changes, held }: TargetOutcome, settled: boolean): readonly Note[] {
  const notes: Note[] = []
  const adopted = applied.filter(({ op }) => op === 'adopt')
  if (adopted.length > 0) notes.push(normal('Adopted', `took over on ${target.shard.id}: ${list(adopted)}`))
  const repaired = applied.filter(({ op }) => op !== 'adopt')
  if (settled && repaired.length > 0)
    notes.push(normal('DriftRepaired', `put right on ${target.shard.id}: ${list(repaired)}`))
  if (settled && applied.length === 0 && changes.length > 0 && held.length > 0) {
    notes.push({ ...normal('DriftFound', `differs on ${target.shard.id}: ${list(changes)}`), type: 'Warning' })
  }
  const blocked = held.find(({ change }) => change.blocked)?.change.blocked
  if (blocked) notes.push({ ...normal(blocked.code, blocked.message), type: 'Warning' })
  return notes
}

function normal(reason: string, note: string): Note {
  return { type: 'Normal', reason, action: 'Reconcile', note }
}

const MOST_LISTED = 5

function list(changes: readonly Change[]): string {
  const shown = changes.slice(0, MOST_LISTED).map(({ summary }) => summary)
  const more = changes.length > MOST_LISTED ? `, and ${changes.length - MOST_LISTED} more` : ''
  return shown.join(', ') + more
}
