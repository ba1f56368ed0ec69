import type { Node } from 'libpg-query'
import { parseSql, scanSql } from '../lint/parser.ts'

/** Statements that change no object of a schema, and that may not run in a transaction. */
const WITHOUT_EFFECT: readonly string[] = ['VacuumStmt', 'ReindexStmt', 'ClusterStmt', 'CheckPointStmt']

/**
 * A statement that is written to run outside a transaction, as it can run inside one: the same without CONCURRENTLY. Undefined
 * for one that makes no difference to what there is. A statement that cannot be read is given back as it is, for the server to refuse.
 */
export async function inTransaction(statement: string): Promise<string | undefined> {
  const [parsed, ...more] = (await parseSql(statement)).value ?? []
  if (!parsed || more.length > 0) return statement
  if (WITHOUT_EFFECT.some((kind) => kind in parsed.node)) return undefined
  return isConcurrent(parsed.node) ? await withoutConcurrently(statement, parsed.node) : statement
}

function isConcurrent(node: Node): boolean {
  return JSON.stringify(node).includes('"concurrent":true')
}

/** Only where what is left is the same statement but for that word. */
async function withoutConcurrently(statement: string, node: Node): Promise<string> {
  const bytes = Buffer.from(statement)
  const tokens = (await scanSql(statement)).value ?? []
  const word = tokens.find(({ start, end }) => bytes.subarray(start, end).toString().toLowerCase() === 'concurrently')
  if (!word) return statement
  const rest = Buffer.concat([bytes.subarray(0, word.start), bytes.subarray(word.end)]).toString()
  const [plain] = (await parseSql(rest)).value ?? []
  return plain && shape(plain.node) === shape(node) ? rest : statement
}

/** The tree without places in the text. */
function shape(node: Node): string {
  return JSON.stringify(node, (key, value: unknown) => (PLACES.includes(key) ? undefined : value))
}

const PLACES: readonly string[] = ['location', 'concurrent', 'stmt_location', 'stmt_len']
