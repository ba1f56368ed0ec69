import { GROUP } from './common.ts'

/** Annotations that people set on a Tenant or Database, except `placement` and `connections`. Value `true` unless said otherwise. */
export const ANNOTATIONS = {
  /** Nothing is written anywhere for the object until it is taken away. */
  paused: `${GROUP}/paused`,
  /**
   * Value: the hash of the plan (`status.plan.hash`) that may run, and on a Database of the rollout (`status.rollout.approve`);
   * several are separated by blanks or commas. Anything else is still held.
   */
  approved: `${GROUP}/approved`,
  /** Objects of the wanted names that carry no mark may be taken over. */
  adopt: `${GROUP}/adopt`,
  /** Written by the operator. Value: JSON of `Placement`; the truth about where a Tenant lives. */
  placement: `${GROUP}/placement`,
  /** Written by the operator on a Database. Value: JSON list of the Secrets that it may hold with `FINALIZER_IN_USE`. */
  connections: `${GROUP}/connections`,
  /** Lets a deletion finish although a server cannot be reached; what is left there is listed in an event. */
  abandon: `${GROUP}/abandon`,
  /** Value: a W3C traceparent. Until the spec is in force, reconciles of the object continue that trace. */
  traceparent: `${GROUP}/traceparent`,
} as const

/** Holds a Tenant or Database until what it made is gone or deliberately kept. */
export const FINALIZER = `${GROUP}/cleanup`

/** Holds a Database until its connection Secrets are let go; it outlives `FINALIZER`, which says that servers still have to be reached. */
export const FINALIZER_CONNECTIONS = `${GROUP}/connections`

/** Holds a connection Secret while a Database needs it: a deleted namespace must not take the way to its servers first. */
export const FINALIZER_IN_USE = `${GROUP}/in-use`

/** Value `true` on everything that the operator makes in Kubernetes. */
export const LABEL_MANAGED = `${GROUP}/managed`

/** Field manager of every server-side apply. */
export const FIELD_MANAGER = 'tenantry'

/**
 * Where each of a Tenant's databases lives: name of the entry in `spec.databases` → `namespace/database/shard`. Stored with the
 * finalizer in one write, before anything is made, so that nothing made is ever lost track of.
 */
export type Placement = Readonly<Record<string, string>>

/** True when the annotation is there and not `false`. */
export function isSet(annotations: Readonly<Record<string, string>> | undefined, name: string): boolean {
  const value = annotations?.[name]
  return value !== undefined && value !== 'false'
}

/** Whether the value of `approved` names this hash. */
export function approves(value: string | undefined, hash: string | undefined): boolean {
  return hash !== undefined && (value?.split(/[\s,]+/).includes(hash) ?? false)
}

/** The stored placement; undefined when there is none or it is not a map of strings. */
export function readPlacement(annotations: Readonly<Record<string, string>> | undefined): Placement | undefined {
  const text = annotations?.[ANNOTATIONS.placement]
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isPlacement(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Keys in a fixed order, so that equal placements are equal strings. */
export function writePlacement(placement: Placement): string {
  return JSON.stringify(Object.fromEntries(Object.entries(placement).sort(([a], [b]) => (a < b ? -1 : 1))))
}

function isPlacement(value: unknown): value is Placement {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((shard) => typeof shard === 'string')
  )
}
