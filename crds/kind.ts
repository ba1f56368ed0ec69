import type { z } from 'zod'

/** A column of `kubectl get`. Priority 1 shows it only with `-o wide`. */
export interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date' | 'boolean'
  readonly jsonPath: string
  readonly description?: string
  readonly priority?: 0 | 1
}

/** All that a CustomResourceDefinition is made of. */
export interface KindDefinition {
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly description: string
  readonly spec: z.ZodType
  readonly status: z.ZodType
  readonly columns: readonly Column[]
  readonly scale?: {
    readonly specReplicasPath: string
    readonly statusReplicasPath: string
    readonly labelSelectorPath: string
  }
}

/** Path of a condition's field, for a column. */
export function conditionPath(type: string, field: 'status' | 'reason' | 'message'): string {
  return `.status.conditions[?(@.type=="${type}")].${field}`
}
