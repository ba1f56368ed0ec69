import type { Severity } from '../../postgres/lint/rule.ts'
import { shown } from '../../postgres/lint/shown.ts'
import { commandsOf } from './alter.ts'
import type { Part, Statement } from './reading.ts'

/** What a rule guards against. `repeat`: what does not come to the same when it is run again. */
export type Category = 'file' | 'escape' | 'repeat' | 'destructive' | 'incompatible' | 'pitfall'

/** What a rule says of a statement, and of which part of it; absent: of its first. */
export interface Hit {
  readonly message: string
  readonly part?: Part | undefined
}

/** A rule; `bad` and `good` are files, shown in the reference and tried by the tests. */
export interface Rule {
  readonly category: Category
  readonly severity: Severity
  readonly title: string
  readonly why: string
  readonly instead: string
  readonly bad: string
  readonly good: string
  /** False where the author of a file may know better: an ignore with a reason is heeded. */
  readonly locked: boolean
  readonly find: (statement: Statement) => readonly Hit[]
}

type Entry = Omit<Rule, 'category' | 'severity' | 'find' | 'locked'> &
  Partial<Pick<Rule, 'severity' | 'locked' | 'find'>>

const LOCKED: readonly Category[] = ['file', 'escape', 'repeat']

/** Rules of one category, of the same severity where they do not say another. */
export function rules<K extends string>(
  category: Category,
  severity: Severity,
  entries: Readonly<Record<K, Entry>>,
): Readonly<Record<K, Rule>> {
  const made = Object.entries<Entry>(entries).map(([id, entry]) => {
    const own = entry.severity ?? severity
    const locked = LOCKED.includes(category) && own === 'error'
    return [id, { category, locked, find: () => [], ...entry, severity: own }]
  })
  return Object.fromEntries(made)
}

type Find = Rule['find']

/** Finds a pattern in the shape of a statement; `$` in the message stands for the first group, as the file has it. */
export function inStatement(pattern: RegExp, message: string): Find {
  const indexed = new RegExp(pattern.source, 'd')
  return (statement) => hits(statement, indexed, message)
}

/** As `inStatement`, for each command of an ALTER. */
export function inCommands(pattern: RegExp, message: string): Find {
  const indexed = new RegExp(pattern.source, 'd')
  return (statement) => commandsOf(statement).flatMap((command) => hits(command, indexed, message))
}

/** All that several find. */
export function either(...finds: readonly Find[]): Find {
  return (statement) => finds.flatMap((find) => find(statement))
}

function hits(statement: Statement, pattern: RegExp, message: string): readonly Hit[] {
  const match = pattern.exec(statement.shape)
  if (!match) return []
  const [from, to] = match.indices?.[1] ?? match.indices?.[0] ?? [0, 0]
  const parts = statement.parts.slice(statement.partAt(from), statement.partAt(Math.max(from, to - 1)) + 1)
  const part = statement.parts[statement.partAt(match.index)]
  return [{ message: message.replace('$', () => named(parts)), part }]
}

/** Some parts as a message shows them. */
export function named(parts: readonly Part[]): string {
  return `"${shown(parts.map(({ text }) => text).join(''))}"`
}
