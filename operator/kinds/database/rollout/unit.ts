import type { SchemaState } from '@tenantry/crds/schema.ts'

/** A tenant, or a shard of shared tables, as far as a rollout looks at it. */
export interface Unit {
  /** `namespace/name` of the Tenant, or the name of the shard. */
  readonly key: string
  readonly labels: Readonly<Record<string, string>>
  /** It was in use before: only such units make a rollout wait. */
  readonly settled: boolean
  /** Nothing new comes to it now. */
  readonly suspended: boolean
  readonly version?: string | undefined
  /** What was last recorded of it, about the files of `digest`. */
  readonly state?: SchemaState | undefined
  readonly digest?: string | undefined
  readonly message?: string | undefined
}

export type Standing = 'atTarget' | 'pending' | 'failed' | 'suspended'

/** Where a unit stands with the files of a rollout. What was recorded about other files says nothing. */
export function standingOf(unit: Unit, digest: string | undefined): Standing {
  const current = digest !== undefined && unit.digest === digest
  if (current && unit.state === 'AtTarget') return 'atTarget'
  if (unit.suspended) return 'suspended'
  return current && unit.state === 'Failed' ? 'failed' : 'pending'
}
