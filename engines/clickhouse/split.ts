import { type Token, tokensOf } from './tokens.ts'

/** One statement of a file. */
export interface Piece {
  /** As it is sent to the server: with the comments before and within it. */
  readonly text: string
  /** Without comments; never empty. */
  readonly tokens: readonly Token[]
  readonly commentsBefore: readonly Token[]
  readonly commentsWithin: readonly Token[]
}

/** A file in statements. */
export interface Cut {
  readonly pieces: readonly Piece[]
  /** The comments after the last statement. */
  readonly rest: readonly Token[]
}

/**
 * Cuts a SQL file at the semicolons that end statements: the HTTP interface takes one statement per request. Pieces with
 * nothing but space and comments are left out. Throws AppError `SourceInvalid` for a quote or comment without end. Data after
 * `INSERT … FORMAT` cannot be told from SQL: files use `VALUES` or `SELECT`.
 */
export function cutFile(sql: string): Cut {
  const pieces: Piece[] = []
  let open = emptyPiece()
  let start = 0
  const close = (end: number): void => {
    if (open.tokens.length > 0) {
      pieces.push({ ...open, text: sql.slice(start, end).trim() })
      open = emptyPiece()
    }
  }
  for (const token of tokensOf(sql)) {
    if (token.kind === 'sign' && sql[token.start] === ';') {
      close(token.start)
      start = token.end
    } else if (token.kind !== 'comment') open.tokens.push(token)
    else if (open.tokens.length === 0) open.commentsBefore.push(token)
    else open.commentsWithin.push(token)
  }
  const last = open
  close(sql.length)
  return { pieces, rest: last.tokens.length === 0 ? last.commentsBefore : [] }
}

function emptyPiece(): { tokens: Token[]; commentsBefore: Token[]; commentsWithin: Token[] } {
  return { tokens: [], commentsBefore: [], commentsWithin: [] }
}

/** The texts of a file's statements. */
export function splitStatements(sql: string): readonly string[] {
  return cutFile(sql).pieces.map(({ text }) => text)
}
