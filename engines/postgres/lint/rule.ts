import type { Body } from './bodies.ts'
import type { Header } from './header.ts'
import type { Fields, Kind } from './walk.ts'

/** What a rule guards against. `file` is about the file as such; `escape` about leaving what is the tenant's own. */
export type Category = 'file' | 'destructive' | 'blocking' | 'incompatible' | 'timeout' | 'pitfall' | 'escape'

/** An error keeps a file from being applied; a warning does not. */
export type Severity = 'error' | 'warning'

/** Where a rule looks besides the node at hand. */
export interface Context {
  readonly header: Header
  /** Whether the statement stands in the file itself, or in the body of a DO block or function of it. */
  readonly inside: 'file' | 'do' | 'function'
  /** The statement that the node is a part of. */
  readonly root: object
  /** Of a DO block or function: what is in its body. */
  readonly body: Body | undefined
  /** The tables and views made before by the same file, by `schema.name`. `sure` is false after IF NOT EXISTS. */
  readonly created: ReadonlyMap<string, { readonly sure: boolean }>
  /** The tables that get a primary key by a statement of their own. */
  readonly keyed: ReadonlySet<string>
  /** Whether the file has set lock_timeout before. */
  readonly lockTimeout: boolean
}

/** What a rule says of a node: with the byte offset of the place where that is not the beginning of the statement. */
export type Hit = string | { readonly message: string; readonly at: number | undefined }

/** The nodes a rule looks at, and how. */
export type Find = { readonly [K in Kind]?: (node: Fields<K>, context: Context) => readonly Hit[] }

/** A rule; `bad` and `good` are files, shown in the reference and tried by the tests. */
export interface Rule {
  readonly category: Category
  readonly severity: Severity
  readonly title: string
  readonly why: string
  readonly instead: string
  readonly bad: string
  readonly good: string
  readonly find: Find
}

/** The rules of an engine, as far as ignores and findings need them. */
export interface RuleBook<Id extends string, In extends string = string> {
  has(id: string): id is Id
  /** Whether a rule always holds: no ignore and no policy changes it. */
  isLocked(id: Id): boolean
  rule(id: Id): { readonly category: In; readonly severity: Severity; readonly instead: string }
  /** What tells of an ignore that cannot be used, and of one that ignores nothing. */
  readonly ignoreRules: { readonly invalid: Id; readonly unused: Id }
}

/** Severities that differ from the rules' own; `off` leaves a rule out. */
export type PolicyOf<Id extends string> = Readonly<Partial<Record<Id, Severity | 'off'>>>

type Entry = Omit<Rule, 'category' | 'severity' | 'find'> & { readonly severity?: Severity; readonly find?: Find }

/** Rules of one category, of the same severity where they do not say another. */
export function rules<K extends string>(
  category: Category,
  severity: Severity,
  entries: Readonly<Record<K, Entry>>,
): Readonly<Record<K, Rule>> {
  const made = Object.entries<Entry>(entries).map(([id, entry]) => [id, { category, severity, find: {}, ...entry }])
  return Object.fromEntries(made)
}

/** A hit when the condition holds. */
export function hit(condition: boolean, message: string, at?: number): readonly Hit[] {
  return condition ? [{ message, at }] : []
}
