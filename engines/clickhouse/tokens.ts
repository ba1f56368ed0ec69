import { AppError } from '@tenantry/crds/errors.ts'

/** `word`: letters, digits, `_` and `$`, so numbers and keywords too; `name`: a quoted identifier; `string`: heredocs too. */
export type TokenKind = 'word' | 'name' | 'string' | 'sign' | 'comment'

/** A piece of a SQL text; offsets count UTF-16 units. */
export interface Token {
  readonly kind: TokenKind
  readonly start: number
  readonly end: number
}

const SPACE = /\s+/y
const WORD = /[A-Za-z0-9_$]+/y
const HEREDOC = /\$[A-Za-z0-9_]*\$/y
const LINE_COMMENT = /(?:--|\/\/|#[ !])[^\n]*/y

interface Quote {
  readonly close: string
  /** Whether a backslash or a doubled quote escapes inside. */
  readonly escapes: boolean
  readonly kind: TokenKind
}

const QUOTES: Readonly<Record<string, Quote>> = {
  "'": { close: "'", escapes: true, kind: 'string' },
  '"': { close: '"', escapes: true, kind: 'name' },
  '`': { close: '`', escapes: true, kind: 'name' },
  '‘': { close: '’', escapes: false, kind: 'string' },
  '“': { close: '”', escapes: false, kind: 'name' },
}

/**
 * All of a SQL text but its spaces, as ClickHouse's own lexer reads it: three quotes with escapes, typographic quotes, heredocs,
 * and the four comments. Throws AppError `SourceInvalid` for a quote or comment without end.
 */
export function* tokensOf(sql: string): Generator<Token> {
  for (let at = 0; at < sql.length; ) {
    const blank = matchEnd(SPACE, sql, at)
    if (blank !== undefined) {
      at = blank
      continue
    }
    const token = tokenAt(sql, at)
    yield token
    at = token.end
  }
}

function tokenAt(sql: string, start: number): Token {
  const comment = commentEnd(sql, start)
  if (comment !== undefined) return { kind: 'comment', start, end: comment }
  const quote = QUOTES[sql[start] ?? '']
  if (quote) return { kind: quote.kind, start, end: quoteEnd(sql, start, quote) }
  const heredoc = heredocEnd(sql, start)
  if (heredoc !== undefined) return { kind: 'string', start, end: heredoc }
  const word = matchEnd(WORD, sql, start)
  return word === undefined ? { kind: 'sign', start, end: start + 1 } : { kind: 'word', start, end: word }
}

function commentEnd(sql: string, at: number): number | undefined {
  const line = matchEnd(LINE_COMMENT, sql, at)
  if (line !== undefined) return line
  return sql.startsWith('/*', at) ? find(sql, '*/', at + 2, 'comment') : undefined
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

function quoteEnd(sql: string, at: number, { close, escapes }: Quote): number {
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
