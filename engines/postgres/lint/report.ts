import type { Finding, Findings, Ignored } from './findings.ts'
import type { Header } from './header.ts'
import type { Ignore, IgnoreRead } from './ignores.ts'
import { type Place, type Positions, positionsOf } from './positions.ts'
import { type Policy, RULES, type RuleId } from './rules.ts'

/** What was found, and where: at a byte of the file, in a statement, or on a line. */
export interface Placed {
  readonly rule: RuleId
  readonly message: string
  readonly at?: number
  readonly line?: number
  readonly statement?: number
}

/** A file as far as findings tell of it. */
export interface Source {
  readonly name: string
  readonly bytes: Buffer
  readonly header: Header
}

/** Of each rule so many are told: a file may break one more often than anybody would read. */
const MOST = 100

/** Puts what was found in order, by the policy and the ignores. */
export function report(
  { name: file, header, bytes }: Source,
  { placed, ignores }: { readonly placed: readonly Placed[]; readonly ignores: readonly IgnoreRead[] },
  policy: Policy,
): Findings {
  const positions = positionsOf(bytes)
  const byKey = new Map(ignores.flatMap((ignore) => ('rule' in ignore ? [[keyOf(ignore), ignore] as const] : [])))
  const ignoreOf = ({ rule, statement }: Placed): Ignore | undefined =>
    byKey.get(keyOf({ rule, statement })) ?? byKey.get(keyOf({ rule, statement: undefined }))
  const used = new Set(placed.flatMap((each) => ignoreOf(each) ?? []))
  const all = [...placed, ...complaints(ignores, used)].filter(({ rule }) => policy[rule] !== 'off')
  const told = firstOfEach(all)
  const [findings, ignored]: [Finding[], Ignored[]] = [[], []]
  for (const each of told) {
    const [finding, ignore] = [findingOf(each, policy, positions), ignoreOf(each)]
    if (ignore) ignored.push({ ...finding, reason: ignore.reason, ignoredAt: positions(ignore.start).line })
    else findings.push(finding)
  }
  return { file, header, findings: findings.toSorted(byPlace), ignored, omitted: all.length - told.length }
}

/** Neither a rule nor a statement is looked for among all the others: there may be very many of both. */
function keyOf({ rule, statement }: Pick<Ignore, 'rule' | 'statement'>): string {
  return `${rule} ${statement ?? 'file'}`
}

function findingOf({ rule, message, line, at = 0 }: Placed, policy: Policy, positions: Positions): Finding {
  const { category, instead, severity: own } = RULES[rule]
  const severity = policy[rule] === 'error' || policy[rule] === 'warning' ? policy[rule] : own
  const place = line === undefined ? positions(at) : { line, column: 1 }
  return { rule, category, severity, ...place, message, instead }
}

function firstOfEach(all: readonly Placed[]): readonly Placed[] {
  const told = new Map<RuleId, number>()
  return all.filter(({ rule }) => {
    const count = (told.get(rule) ?? 0) + 1
    told.set(rule, count)
    return count <= MOST
  })
}

function complaints(ignores: readonly IgnoreRead[], used: ReadonlySet<Ignore>): readonly Placed[] {
  return ignores.flatMap((ignore): readonly Placed[] => {
    if ('problem' in ignore) return [{ rule: 'invalid-ignore', message: ignore.problem, at: ignore.start }]
    if (used.has(ignore)) return []
    const where = ignore.statement === undefined ? 'the file' : 'the statement after it'
    return [{ rule: 'unused-ignore', message: `${ignore.rule} finds nothing in ${where}`, at: ignore.start }]
  })
}

function byPlace(a: Place, b: Place): number {
  return a.line - b.line || a.column - b.column
}
