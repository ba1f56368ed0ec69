import { failure } from './failure.ts'

/** What the HTTP interface must know about a query before it runs it. */
export interface StatementInfo {
  readonly isInsert: boolean
  /** The name after the query's own FORMAT, if it has one. */
  readonly format: string | undefined
}

const TOKEN =
  /(?<blank>\s+|--[^\n]*|#[ !][^\n]*|\/\*[\s\S]*?\*\/)|'(?:[^'\\]+|\\[\s\S]|'')*'|"(?:[^"\\]+|\\[\s\S]|"")*"|`(?:[^`\\]+|\\[\s\S]|``)*`|\$(?<tag>\w*)\$[\s\S]*?\$\k<tag>\$|(?<word>[A-Za-z_]\w*)|[\s\S]/gy

/**
 * Reads a query as far as needed; the data that follows an INSERT's FORMAT or VALUES is not looked at. Throws what the
 * real server answers to more than one statement, because chdb itself would run them all.
 */
export function inspect(sql: string): StatementInfo {
  const words: string[] = []
  let ended = false
  for (const { token, isWord } of significant(sql)) {
    if (ended) throw multiStatement(token)
    if (token === ';') ended = true
    else words.push(isWord ? token : '')
    if (dataFollows(words)) break
  }
  return { isInsert: isInsert(words), format: ownFormat(words) }
}

function* significant(sql: string): Generator<{ token: string; isWord: boolean }> {
  for (const match of sql.matchAll(TOKEN)) {
    if (match.groups?.blank === undefined) yield { token: match[0], isWord: match.groups?.word !== undefined }
  }
}

function isInsert(words: readonly string[]): boolean {
  return words[0]?.toUpperCase() === 'INSERT'
}

function dataFollows(words: readonly string[]): boolean {
  if (!isInsert(words)) return false
  const last = words.at(-1)?.toUpperCase()
  return last === 'VALUES' || (words.at(-2)?.toUpperCase() === 'FORMAT' && last !== '')
}

/** FORMAT is a format clause only at the end of a query, or before its SETTINGS. */
function ownFormat(words: readonly string[]): string | undefined {
  const settings = words.findLastIndex((word) => word.toUpperCase() === 'SETTINGS')
  const ends = settings > 0 ? [words.length, settings] : [words.length]
  const end = ends.find((index) => words[index - 2]?.toUpperCase() === 'FORMAT')
  return end === undefined ? undefined : words[end - 1] || undefined
}

function multiStatement(token: string) {
  return failure(
    62,
    'SYNTAX_ERROR',
    `Syntax error (Multi-statements are not allowed): failed at the second statement, which begins with ${token}.`,
  )
}

/** A single-quoted literal. */
export function quoteLiteral(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}

/** A back-quoted identifier. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}
