import { AppError } from '@tenantry/crds/errors.ts'
import type { Category, PolicyOf, Rule, RuleBook } from './rule.ts'
import { ACCESS } from './rules/access.ts'
import { BLOCKING } from './rules/blocking.ts'
import { DESTRUCTIVE } from './rules/destructive.ts'
import { FILE } from './rules/file.ts'
import { INCOMPATIBLE } from './rules/incompatible.ts'
import { PITFALLS } from './rules/pitfalls.ts'
import { REWRITING } from './rules/rewriting.ts'
import { TIMEOUT, TRANSACTIONS } from './rules/running.ts'
import { SERVER } from './rules/server.ts'
import { SESSION } from './rules/session.ts'
import { shown } from './shown.ts'

const TABLE = {
  ...FILE,
  ...ACCESS,
  ...SESSION,
  ...SERVER,
  ...DESTRUCTIVE,
  ...INCOMPATIBLE,
  ...BLOCKING,
  ...REWRITING,
  ...TIMEOUT,
  ...TRANSACTIONS,
  ...PITFALLS,
}

/** The name of a rule, as it stands in findings, ignores and policies. */
export type RuleId = keyof typeof TABLE

/** All rules. */
export const RULES: Readonly<Record<RuleId, Rule>> = TABLE

/** The names of all rules. */
export const RULE_IDS = Object.keys(TABLE) as readonly RuleId[]

/** Severities that differ from the rules' own; `off` leaves a rule out. */
export type Policy = PolicyOf<RuleId>

/** Whether it is the name of a rule. */
export function isRuleId(id: string): id is RuleId {
  return Object.hasOwn(TABLE, id)
}

/** Whether a rule always holds: what would leave the tenant's own, and what keeps a file from being read. */
export function isLocked(id: RuleId): boolean {
  return RULES[id].category === 'escape' || (RULES[id].category === 'file' && RULES[id].severity === 'error')
}

/** The rules for files on Postgres, for what does not depend on the engine. */
export const BOOK: RuleBook<RuleId, Category> = {
  has: isRuleId,
  isLocked,
  rule: (id) => RULES[id],
  ignoreRules: { invalid: 'invalid-ignore', unused: 'unused-ignore' },
}

/** Throws AppError `InvalidSpec` for a policy that names no rule, a severity that is none, or a rule that always holds. */
export function checkPolicy(policy: Policy): void {
  for (const [id, severity] of Object.entries(policy)) {
    if (!isRuleId(id)) throw refused(id, 'there is no such rule; docs/reference/lint.md lists them')
    if (!['error', 'warning', 'off'].includes(severity)) throw refused(id, 'a severity is error, warning or off')
    if (isLocked(id) && severity !== 'error') throw refused(id, 'this rule always holds, as an error')
  }
}

function refused(id: string, reason: string): AppError {
  return new AppError('InvalidSpec', `read the lint policy for "${shown(id)}": ${reason}`)
}
