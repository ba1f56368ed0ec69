import type { Node } from 'libpg-query'
import { type Body, bodyOf } from './bodies.ts'
import type { Facts } from './facts.ts'
import type { Header } from './header.ts'
import type { Category, Context, Hit } from './rule.ts'
import { RULE_IDS, RULES, type RuleId } from './rules.ts'
import { nodesOf, type Visited } from './walk.ts'

/** What a rule says of a statement; `at` is a byte offset in the text of the statement's file. */
export interface Found {
  readonly rule: RuleId
  readonly message: string
  readonly at?: number | undefined
}

/** A statement with its own text. */
export interface Subject {
  readonly node: Node
  readonly text: string
}

type Look = (node: object, context: Context) => readonly Hit[]

/** Which rules look at which kind of node. */
const BY_KIND = new Map<string, { readonly rule: RuleId; readonly look: Look }[]>()
for (const rule of RULE_IDS) {
  for (const [kind, look] of Object.entries(RULES[rule].find)) {
    BY_KIND.set(kind, [...(BY_KIND.get(kind) ?? []), { rule, look: look as Look }])
  }
}

/** A function is run by whoever calls it, maybe by the same file: it may wait, but neither lose data nor leave its schema. */
const IN_FUNCTIONS: readonly Category[] = ['escape', 'destructive']

/** Functions within functions are followed so deep. */
const DEEPEST = 4

/** All that the rules say of a statement, and of what is in its body if it has one. */
export async function check(subject: Subject, header: Header, facts: Facts): Promise<readonly Found[]> {
  return await checkAt(subject, { header, facts, inside: 'file', depth: 0 })
}

interface Level {
  readonly header: Header
  readonly facts: Facts
  readonly inside: Context['inside']
  readonly depth: number
}

async function checkAt({ node, text }: Subject, level: Level): Promise<readonly Found[]> {
  const { header, facts, inside } = level
  const body = await bodyOf(node, text)
  const root: object = Object.values(node)[0] ?? node
  const { created, keyed, lockTimeout } = facts
  const context: Context = { header, inside, root, body, created, keyed, lockTimeout }
  const found: Found[] = []
  for (const visited of nodesOf(node)) for (const each of look(visited, context)) found.push(each)
  return body === undefined ? found : [...found, ...(await checkBody(body, node, level))]
}

function look({ kind, node }: Visited, context: Context): readonly Found[] {
  return (BY_KIND.get(kind) ?? []).flatMap((entry) =>
    entry
      .look(node, context)
      .map((hit) => ({ rule: entry.rule, ...(typeof hit === 'string' ? { message: hit } : hit) })),
  )
}

async function checkBody(body: Body, node: Node, { header, facts, inside, depth }: Level): Promise<readonly Found[]> {
  const isDo = 'DoStmt' in node
  if (depth === DEEPEST) return [{ rule: 'unreadable-body', message: 'functions are made within functions too deeply' }]
  const level: Level = { header, facts, inside: isDo && inside !== 'function' ? 'do' : 'function', depth: depth + 1 }
  const found: Found[] = []
  for (const subject of body.statements) for (const each of await checkAt(subject, level)) found.push(each)
  const where = isDo ? 'in the DO block' : 'in the body of the function'
  return found
    .filter(({ rule }) => level.inside === 'do' || IN_FUNCTIONS.includes(RULES[rule].category))
    .map(({ rule, message }) => ({ rule, message: depth === 0 ? `${where}: ${message}` : message }))
}
