import { AppError } from '@tenantry/crds/errors.ts'
import type { PolicyOf, RuleBook } from '../../postgres/lint/rule.ts'
import { shown } from '../../postgres/lint/shown.ts'
import type { Category, Rule } from './rule.ts'
import { DESTRUCTIVE, INCOMPATIBLE, PITFALLS } from './rules/changes.ts'
import { ESCAPE } from './rules/escape.ts'
import { FILE } from './rules/file.ts'
import { REPEAT } from './rules/repeat.ts'

const TABLE = { ...FILE, ...ESCAPE, ...REPEAT, ...DESTRUCTIVE, ...INCOMPATIBLE, ...PITFALLS }

/** The name of a rule, as it stands in findings, ignores and policies. */
export type RuleId = keyof typeof TABLE

/** All rules for files on ClickHouse. */
export const RULES: Readonly<Record<RuleId, Rule>> = TABLE

/** The names of all rules. */
export const RULE_IDS = Object.keys(TABLE) as readonly RuleId[]

/** Severities that differ from the rules' own; `off` leaves a rule out. */
export type Policy = PolicyOf<RuleId>

/** Whether it is the name of a rule. */
export function isRuleId(id: string): id is RuleId {
  return Object.hasOwn(TABLE, id)
}

/** The rules, for what does not depend on the engine. */
export const BOOK: RuleBook<RuleId, Category> = {
  has: isRuleId,
  isLocked: (id) => RULES[id].locked,
  rule: (id) => RULES[id],
  ignoreRules: { invalid: 'invalid-ignore', unused: 'unused-ignore' },
}

/** Throws AppError `InvalidSpec` for a policy that names no rule, a severity that is none, or a rule that always holds. */
export function checkPolicy(policy: Policy): void {
  for (const [id, severity] of Object.entries(policy)) {
    if (!isRuleId(id)) throw refused(id, 'there is no such rule; docs/reference/lint-clickhouse.md lists them')
    if (!['error', 'warning', 'off'].includes(severity)) throw refused(id, 'a severity is error, warning or off')
    if (RULES[id].locked && severity !== 'error') throw refused(id, 'this rule always holds, as an error')
  }
}

function refused(id: string, reason: string): AppError {
  return new AppError('InvalidSpec', `read the lint policy for "${shown(id)}": ${reason}`)
}
