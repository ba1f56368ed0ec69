import type { Comment } from './comments.ts'
import type { RuleBook } from './rule.ts'
import { shown } from './shown.ts'

/** A statement that a rule is not to be heeded, and why. */
export interface Ignore<Id extends string> {
  readonly rule: Id
  readonly reason: string
  /** The byte offset of its comment. */
  readonly start: number
  /** The statement it is for, by number; none for the whole file. */
  readonly statement: number | undefined
}

/** A comment that looks like an ignore, or why it is none. */
export type IgnoreRead<Id extends string> = Ignore<Id> | { readonly problem: string; readonly start: number }

const FORM = /^(?:--|\/\*)\s*lint:(?<verb>\S*)\s*(?<rule>\S*)\s*(?<reason>[\s\S]*)$/

/** Whether a comment speaks to these rules at all. */
export function isDirective(text: string): boolean {
  return FORM.test(text)
}

/** Reads the ignores among the comments before a statement; there is none after the last. */
export function readIgnores<Id extends string>(
  comments: readonly Comment[],
  { statement, last }: { readonly statement: number; readonly last: boolean },
  book: RuleBook<Id>,
): readonly IgnoreRead<Id>[] {
  return comments.flatMap((comment): readonly IgnoreRead<Id>[] => {
    const groups = FORM.exec(comment.text)?.groups
    if (groups === undefined) return []
    const { verb = '', rule = '', reason = '' } = groups
    const { start } = comment
    const problem = misplaced(comment, verb, statement, last) ?? unusable(rule, reason, book)
    if (problem !== undefined || !book.has(rule)) return [{ problem: problem ?? '', start }]
    const whole = verb === 'ignore-file'
    return [{ rule, reason: shown(reason.trim()), start, statement: whole ? undefined : statement }]
  })
}

function misplaced({ text, ownLine }: Comment, verb: string, statement: number, last: boolean): string | undefined {
  if (verb !== 'ignore' && verb !== 'ignore-file')
    return `"lint:${shown(verb)}" is unknown: write lint:ignore or lint:ignore-file`
  if (!text.startsWith('--')) return 'an ignore begins with --'
  if (!ownLine) return 'an ignore stands on a line of its own'
  if (verb === 'ignore-file') return statement === 0 ? undefined : 'lint:ignore-file stands before the first statement'
  return last ? 'no statement comes after it' : undefined
}

function unusable<Id extends string>(rule: string, reason: string, book: RuleBook<Id>): string | undefined {
  if (rule === '') return 'it names no rule'
  if (!book.has(rule)) return `there is no rule "${shown(rule)}"`
  if (book.isLocked(rule)) return `${rule} cannot be ignored`
  return reason.trim() === '' ? `it gives no reason to ignore ${rule}` : undefined
}
