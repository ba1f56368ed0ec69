import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Node, ParseResult, ScanToken } from 'libpg-query'

type Library = typeof import('libpg-query')

/** One statement of a text: its tree, and where it is in the UTF-8 bytes of the text. */
export interface Parsed {
  readonly node: Node
  readonly start: number
  readonly end: number
}

/** Why a text has no tree. `character` counts code points; without it the text is beyond what the parser can hold. */
export interface Refusal {
  readonly message: string
  readonly character?: number
}

/** What came of an attempt to read a text. */
export type Outcome<T> =
  | { readonly value: T; readonly refusal?: undefined }
  | { readonly value?: undefined; readonly refusal: Refusal }

const TOO_DEEP: Refusal = { message: 'it is nested too deeply or too large for the parser' }

/** The memory of the parser only grows; after a text of this many characters it is begun anew. */
const LARGE = 1024 * 1024

const require = createRequire(import.meta.url)
let current: Promise<Library> | undefined

/** The statements of a text, read by the parser of PostgreSQL 18. */
export async function parseSql(text: string): Promise<Outcome<readonly Parsed[]>> {
  if (text.includes('\0')) return { refusal: { message: 'the text has a NUL character, which Postgres does not take' } }
  if (text.trim() === '') return { value: [] }
  return await use(text, (library) => statementsOf(library.parseSync(text), Buffer.byteLength(text)))
}

/** The tree of the body of a CREATE FUNCTION, CREATE PROCEDURE or DO in PL/pgSQL, as plain data. */
export async function parsePlPgSql(statement: string): Promise<Outcome<unknown>> {
  return await use(statement, (library) => library.parsePlPgSQLSync(statement))
}

/** The tokens of a text, comments among them; offsets are in UTF-8 bytes. */
export async function scanSql(text: string): Promise<Outcome<readonly ScanToken[]>> {
  if (text === '') return { value: [] }
  return await use(text, (library) => library.scanSync(text).tokens)
}

function statementsOf({ stmts = [] }: ParseResult, size: number): readonly Parsed[] {
  return stmts.flatMap(({ stmt, stmt_location: start = 0, stmt_len: length }) =>
    stmt === undefined ? [] : [{ node: stmt, start, end: length === undefined ? size : start + length }],
  )
}

/**
 * An overflow of the stack, or of memory, leaves the parser's memory as it was in the midst of its work: the next texts would
 * be read wrongly or not at all. Such a parser is thrown away.
 */
async function use<T>(text: string, work: (library: Library) => T): Promise<Outcome<T>> {
  current ??= load()
  const library = await current
  try {
    const value = work(library)
    if (text.length > LARGE) current = undefined
    return { value }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const refusal = refusalOf(error)
    if (refusal === undefined || text.length > LARGE) current = undefined
    return { refusal: refusal ?? TOO_DEEP }
  }
}

/** What the parser says of the text; undefined where it did not come to an end. */
function refusalOf(error: Error): Refusal | undefined {
  const details: unknown = Reflect.get(error, 'sqlDetails')
  if (error.message.startsWith('memory exhausted')) return TOO_DEEP
  if (typeof details === 'object' && details !== null && 'cursorPosition' in details) {
    return { message: error.message, character: Number(details.cursorPosition) }
  }
  return error.constructor === Error ? { message: error.message, character: 0 } : undefined
}

/** The package keeps one instance for the process; only loading the package again gives another. */
async function load(): Promise<Library> {
  const main = require.resolve('libpg-query')
  for (const file of [main, join(dirname(main), 'libpg-query.js')]) delete require.cache[file]
  const library: Library = require('libpg-query')
  await library.loadModule()
  return library
}
