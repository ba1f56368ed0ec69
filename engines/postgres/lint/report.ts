import type { Finding, Findings, Ignored } from './findings.ts'
import type { Header } from './header.ts'
import type { Ignore, IgnoreRead } from './ignores.ts'
import type { Place, Positions } from './positions.ts'
import type { PolicyOf, RuleBook, Severity } from './rule.ts'

/** What was found, and where: at an offset in the file, in a statement, or on a line. */
export interface Placed<Id extends string> {
  readonly rule: Id
  readonly message: string
  readonly at?: number
  readonly line?: number
  readonly statement?: number
}

/** A file as far as findings tell of it, and the rules it is judged by. */
export interface Source<Id extends string, In extends string> {
  readonly name: string
  readonly positions: Positions
  readonly header: Header
  readonly book: RuleBook<Id, In>
}

/** Of each rule so many are told: a file may break one more often than anybody would read. */
const MOST = 100

/** Puts what was found in order, by the policy and the ignores. */
export function report<Id extends string, In extends string>(
  source: Source<Id, In>,
  { placed, ignores }: { readonly placed: readonly Placed<Id>[]; readonly ignores: readonly IgnoreRead<Id>[] },
  policy: PolicyOf<Id>,
): Findings<Id, In> {
  const { name: file, header, positions, book } = source
  const byKey = new Map(ignores.flatMap((ignore) => ('rule' in ignore ? [[keyOf(ignore), ignore] as const] : [])))
  const ignoreOf = ({ rule, statement }: Placed<Id>): Ignore<Id> | undefined =>
    byKey.get(keyOf({ rule, statement })) ?? byKey.get(keyOf({ rule, statement: undefined }))
  const used = new Set(placed.flatMap((each) => ignoreOf(each) ?? []))
  const all = [...placed, ...complaints(ignores, used, book)].filter(({ rule }) => policy[rule] !== 'off')
  const told = firstOfEach(all)
  const [findings, ignored]: [Finding<Id, In>[], Ignored<Id, In>[]] = [[], []]
  for (const each of told) {
    const [finding, ignore] = [findingOf(each, source, policy), ignoreOf(each)]
    if (ignore) ignored.push({ ...finding, reason: ignore.reason, ignoredAt: positions(ignore.start).line })
    else findings.push(finding)
  }
  return { file, header, findings: findings.toSorted(byPlace), ignored, omitted: all.length - told.length }
}

/** Neither a rule nor a statement is looked for among all the others: there may be very many of both. */
function keyOf({ rule, statement }: Pick<Ignore<string>, 'rule' | 'statement'>): string {
  return `${rule} ${statement ?? 'file'}`
}

function findingOf<Id extends string, In extends string>(
  { rule, message, line, at = 0 }: Placed<Id>,
  { book, positions }: Source<Id, In>,
  policy: PolicyOf<Id>,
): Finding<Id, In> {
  const { category, instead, severity: own } = book.rule(rule)
  const wanted: Severity | 'off' | undefined = policy[rule]
  const severity = wanted === 'error' || wanted === 'warning' ? wanted : own
  const place = line === undefined ? positions(at) : { line, column: 1 }
  return { rule, category, severity, ...place, message, instead }
}

function firstOfEach<Id extends string>(all: readonly Placed<Id>[]): readonly Placed<Id>[] {
  const told = new Map<Id, number>()
  return all.filter(({ rule }) => {
    const count = (told.get(rule) ?? 0) + 1
    told.set(rule, count)
    return count <= MOST
  })
}

function complaints<Id extends string>(
  ignores: readonly IgnoreRead<Id>[],
  used: ReadonlySet<Ignore<Id>>,
  { ignoreRules: { invalid, unused } }: RuleBook<Id>,
): readonly Placed<Id>[] {
  return ignores.flatMap((ignore): readonly Placed<Id>[] => {
    if ('problem' in ignore) return [{ rule: invalid, message: ignore.problem, at: ignore.start }]
    if (used.has(ignore)) return []
    const where = ignore.statement === undefined ? 'the file' : 'the statement after it'
    return [{ rule: unused, message: `${ignore.rule} finds nothing in ${where}`, at: ignore.start }]
  })
}

function byPlace(a: Place, b: Place): number {
  return a.line - b.line || a.column - b.column
}
