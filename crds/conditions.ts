import { z } from 'zod'
import { clip, type Immutable, MESSAGE_MAX, mapBy } from './common.ts'

/**
 * Ready, Reconciling and Stalled as kstatus reads them: Reconciling and Stalled are there only while they are True.
 * Isolated: proof that the tenant reads nothing of another. AccessControl: the servers can hold users and policies.
 * Held: changes wait for a person (mode Plan, approval, pause). Suspended: logins are blocked. RolledOut: the SQL files
 * have come to everybody. SchemaDrifted: tables are not as the SQL files make them; there only while that is so or cannot be
 * judged.
 */
export const CONDITION_TYPES = [
  'Ready',
  'Reconciling',
  'Stalled',
  'Isolated',
  'AccessControl',
  'Held',
  'Suspended',
  'SchemaDrifted',
  'RolledOut',
] as const
export type ConditionType = (typeof CONDITION_TYPES)[number]

const condition = z.object({
  type: z
    .string()
    .min(1)
    .max(316)
    .regex(/^([a-z0-9.-]+\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/)
    .describe('Which question the condition answers.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('The answer.'),
  reason: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe('Why, in one CamelCase word. Errors use the codes of the error reference.'),
  message: z.string().max(MESSAGE_MAX).describe('Why, in a sentence that says what to do.'),
  lastTransitionTime: z.iso.datetime().describe('When the answer last changed.'),
  observedGeneration: z
    .int()
    .min(0)
    .optional()
    .describe(
      'Generation of the spec that the answer is about. Older than metadata.generation: the answer is out of date.',
    ),
})

/** The `conditions` list of every kind. */
export const conditions = z
  .array(condition)
  .max(16)
  .meta(mapBy('type'))
  .optional()
  .describe('Findings in the form that kubectl wait, Helm and Flux understand.')

export type Condition = Immutable<z.output<typeof condition>>
export type ConditionStatus = Condition['status']

/** A finding, before it is known whether it is new. */
export interface Finding {
  readonly type: ConditionType
  readonly status: ConditionStatus
  readonly reason: string
  readonly message: string
}

/**
 * Puts a finding into the list. `lastTransitionTime` moves only when `status` flips; a message that is too long is cut;
 * returns the very same array when nothing differs.
 */
export function setCondition(
  list: readonly Condition[],
  next: Finding,
  now: Date,
  generation: number,
): readonly Condition[] {
  const old = findCondition(list, next.type)
  const flipped = old?.status !== next.status
  const updated: Condition = {
    type: next.type,
    status: next.status,
    reason: next.reason,
    message: clip(next.message),
    lastTransitionTime: flipped || !old ? rfc3339(now) : old.lastTransitionTime,
    observedGeneration: generation,
  }
  if (!old) return [...list, updated]
  if (sameCondition(old, updated)) return list
  return list.map((condition) => (condition === old ? updated : condition))
}

/** Takes a condition out; returns the very same array when it is not there. */
export function removeCondition(list: readonly Condition[], type: ConditionType): readonly Condition[] {
  return findCondition(list, type) ? list.filter((condition) => condition.type !== type) : list
}

export function findCondition(list: readonly Condition[] | undefined, type: ConditionType): Condition | undefined {
  return list?.find((condition) => condition.type === type)
}

function sameCondition(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration
  )
}

/** Kubernetes keeps whole seconds: with more, what is read back would differ from what was written. */
function rfc3339(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`
}
