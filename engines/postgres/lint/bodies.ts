import type { Node } from 'libpg-query'
import { parsePlPgSql, parseSql } from './parser.ts'
import { as, names, unwrap } from './walk.ts'

/** What stands in the body of a DO block or function. */
export interface Body {
  readonly language: string
  readonly statements: readonly BodyStatement[]
  /** Whether it makes statements out of strings as it runs. */
  readonly dynamic: boolean
  /** Whether it ends transactions. */
  readonly transactions: boolean
  /** Why it could not be read. */
  readonly unreadable?: string
}

/** A statement of a body, with its own text. */
export interface BodyStatement {
  readonly node: Node
  readonly text: string
}

/** The body of a statement that has one as a string; `text` is the statement's own. */
export async function bodyOf(node: Node, text: string): Promise<Body | undefined> {
  const { kind, node: fields } = unwrap(node)
  if (kind !== 'DoStmt' && kind !== 'CreateFunctionStmt') return undefined
  const options = (kind === 'DoStmt' ? fields.args : fields.options) ?? []
  const source = stringsOf(option(options, 'as')).at(-1)
  const named = stringsOf(option(options, 'language'))[0]
  // Without a language a function is SQL where its body is no string, and an error otherwise.
  const language = (named ?? (kind === 'DoStmt' ? 'plpgsql' : 'sql')).toLowerCase()
  if (language === 'sql') return source === undefined ? undefined : await sqlBody(source)
  if (language === 'plpgsql') return await plPgSqlBody(text)
  return { language, statements: [], dynamic: false, transactions: false }
}

/** The argument of an option such as LANGUAGE or AS. */
export function option(options: readonly Node[], name: string): Node | undefined {
  return options.map((node) => as('DefElem', node)).find((element) => element?.defname === name)?.arg
}

function stringsOf(node: Node | undefined): readonly string[] {
  if (node === undefined) return []
  return names(as('List', node)?.items ?? [node])
}

async function sqlBody(source: string): Promise<Body> {
  const none = { language: 'sql', dynamic: false, transactions: false }
  const { value, refusal } = await parseSql(source)
  if (refusal) return { ...none, statements: [], unreadable: refusal.message }
  const bytes = Buffer.from(source)
  const statements = value.map(({ node, start, end }) => ({ node, text: bytes.toString('utf8', start, end) }))
  return { ...none, statements }
}

async function plPgSqlBody(text: string): Promise<Body> {
  const tree = await parsePlPgSql(text)
  const none = { language: 'plpgsql', dynamic: false, transactions: false }
  if (tree.refusal) return { ...none, statements: [], unreadable: tree.refusal.message }
  const statements: BodyStatement[] = []
  const { queries, kinds } = collect(tree.value)
  for (const query of queries) {
    const { value, refusal } = await parseSql(query)
    if (refusal) return { ...none, statements: [], unreadable: refusal.message }
    statements.push(...value.map(({ node }) => ({ node, text: query })))
  }
  const dynamic = ['PLpgSQL_stmt_dynexecute', 'PLpgSQL_stmt_dynfors', 'dynquery'].some((kind) => kinds.has(kind))
  const transactions = ['PLpgSQL_stmt_commit', 'PLpgSQL_stmt_rollback'].some((kind) => kinds.has(kind))
  return { ...none, statements, dynamic, transactions }
}

/** Every query and expression of a tree, as statements, and the names of all its fields. */
function collect(tree: unknown): { queries: readonly string[]; kinds: ReadonlySet<string> } {
  const queries: string[] = []
  const kinds = new Set<string>()
  for (const object of objectsOf(tree)) {
    for (const key of Object.keys(object)) kinds.add(key)
    if ('query' in object && typeof object.query === 'string') {
      queries.push(asStatement(object.query, Number(Reflect.get(object, 'parseMode') ?? 0)))
    }
  }
  return { queries, kinds }
}

function* objectsOf(tree: unknown): Generator<object> {
  const open: unknown[] = [tree]
  while (open.length > 0) {
    const value = open.pop()
    if (typeof value !== 'object' || value === null) continue
    if (!Array.isArray(value)) yield value
    for (const child of Object.values(value).reverse()) open.push(child)
  }
}

/** How PL/pgSQL has the server read a piece of text: 0 is a statement, 2 an expression, 3 and more `target := expression`. */
function asStatement(query: string, mode: number): string {
  if (mode === 0) return query
  return `SELECT ${mode >= 3 ? query.replace(/^[^=]*=/, '') : query}`
}
