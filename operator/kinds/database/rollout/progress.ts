import type { SchemaState } from '@tenantry/crds/schema.ts'
import type { Applied, Change } from '@tenantry/engines/model.ts'
import type { TargetOutcome } from '../../../reconcile/model.ts'
import type { Wanted } from './wanted.ts'

/** Where a unit stands, as its status says it. */
export interface Progress {
  readonly schemaState: SchemaState
  readonly schemaTarget?: string
  readonly schemaDigest?: string
}

/** Errors that lie in a file: anything else may pass, and counts against no budget. */
const FAULTS: ReadonlySet<string> = new Set(['MigrationFailed', 'MigrationChanged', 'RollbackRefused'])

const FILES: ReadonlySet<string> = new Set(['Migration', 'Reversal', 'file'])

/** Whether a change applies or undoes a SQL file. */
export function isOfFile({ target }: Change): boolean {
  return FILES.has(target.kind)
}

/** Whether a change failed because of its SQL file. */
export function isFileFault({ change, error }: NonNullable<Applied['failed']>): boolean {
  return isOfFile(change) && FAULTS.has(error.code)
}

/** What came of a unit's files; undefined where nothing could be seen, or nothing is under way: then it stands where it stood. Pure. */
export function progressOf(wanted: Wanted, outcome: TargetOutcome): Progress | undefined {
  const { turn, target, digest, failed = false } = wanted
  if (turn === undefined || outcome.found === undefined) return undefined
  const aim = target === undefined ? {} : { schemaTarget: target }
  const about = digest === undefined ? {} : { schemaDigest: digest }
  if (turn === 'skipped') return { schemaState: 'Skipped', ...aim }
  if (turn === 'waiting') return { schemaState: 'Pending', ...aim }
  const left = [...outcome.remaining, ...outcome.held.map(({ change }) => change)].some(isOfFile)
  // Whoever failed and now waits for a lock has failed until it has the files.
  if (isFaulty(outcome) || (failed && left)) return { schemaState: 'Failed', ...aim, ...about }
  return left ? { schemaState: 'Pending', ...aim } : { schemaState: 'AtTarget', ...about }
}

function isFaulty({ error, held }: TargetOutcome): boolean {
  return FAULTS.has(error?.code ?? '') || held.some(({ reason }) => FAULTS.has(reason))
}
