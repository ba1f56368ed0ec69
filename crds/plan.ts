import { z } from 'zod'
import { ATOMIC, ENGINES, engineName, type Immutable, MESSAGE_MAX } from './common.ts'

/** Most changes listed in a status; `total` counts the rest. */
export const PLAN_CHANGES_MAX = 50

const change = z.object({
  engine: z.enum(ENGINES).optional().describe('Engine that the change is for.'),
  shard: engineName.optional().describe('Shard that the change is for.'),
  op: z
    .enum(['create', 'alter', 'drop', 'adopt'])
    .optional()
    .describe('What is done: adopt takes over an object that exists and carries no mark of ours.'),
  risk: z
    .enum(['safe', 'disruptive', 'destructive'])
    .optional()
    .describe('disruptive may end sessions or block statements for a moment; destructive loses data.'),
  summary: z.string().max(MESSAGE_MAX).optional().describe('One line that names the object. It never holds a secret.'),
  held: z
    .string()
    .max(64)
    .optional()
    .describe(
      'Why the change waits, in one word such as Plan, Approval, Paused or Conflict. Absent when it does not wait.',
    ),
})

/** Changes that are still to be made, in the order in which they will be. Absent from a status when nothing differs. */
export const plan = z.object({
  hash: z
    .string()
    .max(64)
    .optional()
    .describe('Identifies exactly these changes: the value to give to the annotation tenantry.dev/approved.'),
  changes: z
    .array(change)
    .max(PLAN_CHANGES_MAX)
    .meta(ATOMIC)
    .optional()
    .describe(`The first ${PLAN_CHANGES_MAX} changes in order.`),
  held: z.int().min(0).max(2_147_483_647).optional().describe('Number of changes that wait for a person.'),
  total: z.int().min(0).max(2_147_483_647).optional().describe('Number of all changes, also of those not listed.'),
})

/** A plan as shown in status. */
export type PlanStatus = Immutable<z.output<typeof plan>>
/** One change as shown in status. */
export type PlanChange = NonNullable<PlanStatus['changes']>[number]
