import type { Header } from './header.ts'
import type { Category, Severity } from './rule.ts'
import type { RuleId } from './rules.ts'

/** What a rule found, and where. */
export interface Finding<Id extends string = RuleId, In extends string = Category> {
  readonly rule: Id
  readonly category: In
  readonly severity: Severity
  /** Counted from 1, as `column`, which counts characters. */
  readonly line: number
  readonly column: number
  /** What was found; in one line, whatever names the file holds. */
  readonly message: string
  readonly instead: string
}

/** A finding that the file says is meant, and why. */
export interface Ignored<Id extends string = RuleId, In extends string = Category> extends Finding<Id, In> {
  readonly reason: string
  readonly ignoredAt: number
}

/** All that was found in a file, in its order. Each engine has rules and categories of its own. */
export interface Findings<Id extends string = RuleId, In extends string = Category> {
  readonly file: string
  readonly header: Header
  readonly findings: readonly Finding<Id, In>[]
  readonly ignored: readonly Ignored<Id, In>[]
  /** How many more there are: of each rule the first hundred are told. */
  readonly omitted: number
}

/** Whether a file must not be applied as it is. */
export function hasErrors({ findings }: Findings<string, string>): boolean {
  return findings.some(({ severity }) => severity === 'error')
}

/** What somebody has to approve before the file is applied: what loses data or breaks running versions, ignored or not. */
export function needsApproval<Id extends string, In extends string>({
  findings,
  ignored,
}: Findings<Id, In>): readonly Finding<Id, In>[] {
  return [...findings, ...ignored].filter(({ category }) => category === 'destructive' || category === 'incompatible')
}
