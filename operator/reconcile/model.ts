/** What flows through the pipeline: targets in, a plan in the middle, outcomes out. */
import type { AppError } from '@tenantry/crds/errors.ts'
import type { Applied, Change, Resource, Run, SecretReader } from '@tenantry/engines/model.ts'
import type { Shard } from '../shards/shard.ts'

export type Kind = 'Tenant' | 'Database'

/** What may happen by itself to one object on one shard. Everything but `retain` only ever holds changes back. */
export interface Policy {
  readonly paused: boolean
  readonly mode: 'Enforce' | 'Plan'
  readonly approval: 'Automatic' | 'Destructive' | 'All'
  /** Data is never dropped: such changes do not even enter the plan. */
  readonly retain: boolean
  /** Unmarked look-alikes may be taken over. */
  readonly adopt: boolean
  /** The plan hashes that a person approved, as the annotation holds them. */
  readonly approved: string | undefined
}

/** One object's part on one shard. */
export interface Target {
  /** The binding's name for a Tenant, the shard's name for a Database: unique within the object. */
  readonly label: string
  readonly shard: Shard
  /** Base names of everything wanted or possibly left over. */
  readonly scope: readonly string[]
  readonly wanted: readonly Resource[]
  readonly secrets: SecretReader
  readonly policy: Policy
  /** Changes that no diff knows of, for when all else is as wanted. */
  readonly more?: () => readonly Change[]
  /** Told at once of changes that were tried, whatever became of them, and of the one that failed. */
  readonly tried?: (changes: readonly Change[], failed: Applied['failed']) => void
  /** The rollout that SQL files are applied for. */
  readonly run?: Run
  /** Asked when its turn on the server has come. Absent: every change may begin. */
  readonly mayBegin?: (change: Change) => boolean
}

export type HeldReason = 'Paused' | 'PlanOnly' | 'AwaitingApproval' | 'Conflict' | 'MigrationChanged'

/** A change that waits for a person, and why. */
export interface Held {
  readonly change: Change
  readonly reason: HeldReason
}

/** The gate's verdict over one target's changes. */
export interface Gated {
  readonly run: readonly Change[]
  readonly held: readonly Held[]
}

/** What came of one target. `found` is the shard's state after the apply, in the engine's own snapshot type. */
export interface TargetOutcome {
  readonly target: Target
  /** What differed before anything was done. */
  readonly changes: readonly Change[]
  readonly applied: readonly Change[]
  readonly held: readonly Held[]
  /** What still differs and is not held: not empty only after a failure or a change by somebody else in between. */
  readonly remaining: readonly Change[]
  readonly found: unknown
  readonly error?: AppError
}

/** What came of one object. `planHash` covers the held changes and is what a person approves; undefined when none are held. */
export interface Outcome {
  readonly targets: readonly TargetOutcome[]
  readonly planHash: string | undefined
}
