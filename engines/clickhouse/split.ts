import { AppError } from '@tenantry/crds/errors.ts'

const SPACE = /\s+/y
const WORD = /[A-Za-z0-9_$]+/y
const HEREDOC = /\$[A-Za-z0-9_]*\$/y
const LINE_COMMENT = /(?:--|\/\/|#[ !])[^\n]*/y

/** Closing quote by opening quote, and whether a backslash or a doubled quote escapes inside. */
const QUOTES: Readonly<Record<string, { close: string; escapes: boolean }>> = {
  "'": { close: "'", escapes: true },
  '"': { close: '"', escapes: true },
  '`': { close: '`', escapes: true },
  '‘': { close: '’', escapes: false },
  '“': { close: '”', escapes: false },
}

/**
 * Cuts a SQL file at the semicolons that end statements: the HTTP interface takes one statement per request. Knows what
 * ClickHouse's own lexer knows: three quotes with escapes, typographic quotes, heredocs, and the four comments. Pieces
 * with nothing but space and comments are left out. Throws AppError `SourceInvalid` for a quote or comment without end.
 * Data after `INSERT … FORMAT` cannot be told from SQL: files use `VALUES` or `SELECT`.
 */
export function splitStatements(sql: string): readonly string[] {
  const statements: string[] = []
  let start = 0
  let meaningful = false
  for (let at = 0; at < sql.length; ) {
    if (sql[at] === ';') {
      if (meaningful) statements.push(sql.slice(start, at).trim())
      at += 1
      start = at
      meaningful = false
      continue
    }
    const token = tokenAt(sql, at)
    meaningful ||= token.meaningful
    at = token.end
  }
  if (meaningful) statements.push(sql.slice(start).trim())
  return statements
}

interface Token {
  readonly end: number
  readonly meaningful: boolean
}

function tokenAt(sql: string, at: number): Token {
  const blank = matchEnd(SPACE, sql, at) ?? matchEnd(LINE_COMMENT, sql, at)
  if (blank !== undefined) return { end: blank, meaningful: false }
  if (sql.startsWith('/*', at)) return { end: find(sql, '*/', at + 2, 'comment'), meaningful: false }
  const quote = QUOTES[sql[at] ?? '']
  if (quote) return { end: quoteEnd(sql, at, quote), meaningful: true }
  return { end: heredocEnd(sql, at) ?? matchEnd(WORD, sql, at) ?? at + 1, meaningful: true }
}

function matchEnd(pattern: RegExp, sql: string, at: number): number | undefined {
  pattern.lastIndex = at
  return pattern.test(sql) ? pattern.lastIndex : undefined
}

function heredocEnd(sql: string, at: number): number | undefined {
  const open = matchEnd(HEREDOC, sql, at)
  if (open === undefined) return undefined
  const tag = sql.slice(at, open)
  const close = sql.indexOf(tag, open)
  // Without its closing tag ClickHouse reads the dollar signs as part of a name.
  return close < 0 ? undefined : close + tag.length
}

function quoteEnd(sql: string, at: number, { close, escapes }: { close: string; escapes: boolean }): number {
  if (!escapes) return find(sql, close, at + 1, `quote ${sql[at]}`)
  for (let i = at + 1; i < sql.length; i++) {
    if (sql[i] === '\\') i += 1
    else if (sql[i] === close) {
      if (sql[i + 1] !== close) return i + 1
      i += 1
    }
  }
  throw unterminated(sql, at, `quote ${close}`)
}

function find(sql: string, end: string, from: number, what: string): number {
  const found = sql.indexOf(end, from)
  if (found < 0) throw unterminated(sql, from, what)
  return found + end.length
}

function unterminated(sql: string, at: number, what: string): AppError {
  const line = sql.slice(0, at).split('\n').length
  return new AppError('SourceInvalid', `split SQL file: the ${what} that begins on line ${line} has no end; close it`)
}
