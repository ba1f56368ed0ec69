import type { Piece } from '../split.ts'
import type { Token, TokenKind } from '../tokens.ts'

/** A token of a statement, or a whole parameter such as `{schema:Identifier}`. */
export interface Part {
  readonly kind: TokenKind | 'parameter'
  /** Of an identifier or string: what is within its quotes, as it stands there. Of a parameter: `name:Type`. */
  readonly text: string
  readonly start: number
  readonly end: number
  /** How many brackets are open around it; an opening or closing one is outside itself. */
  readonly depth: number
}

/** A statement, or a command of an ALTER, as rules look at it. */
export interface Statement {
  readonly parts: readonly Part[]
  /**
   * The parts with blanks between, and one at the end: words in upper case, `` `3` `` for a quoted name and `'3'` for a string
   * by their number, `{3}` for a parameter. What stands in quotes can so never be taken for a word.
   */
  readonly shape: string
  /** The part that begins at or before that place in the shape. */
  partAt(place: number): number
}

/** In patterns over shapes: one identifier. */
export const NAME = '(?:[A-Z0-9_$]+|`\\d+`|\\{\\d+\\})'
/** In patterns over shapes: an identifier, maybe with others before it: `database.table`, `nested.column`. */
export const PATH = `(?:${NAME} (?:\\. ${NAME} )*)`

/** Reads a statement of a file. */
export function readStatement(sql: string, { tokens }: Piece): Statement {
  const parts: Part[] = []
  let depth = 0
  let until = 0
  for (const [i, token] of tokens.entries()) {
    if (token.start < until) continue
    const part = partAt(sql, token, () => tokens.slice(i, i + LONGEST_PARAMETER))
    until = part.end
    const sign = part.kind === 'sign' ? part.text : ''
    if (CLOSING.has(sign)) depth = Math.max(0, depth - 1)
    parts.push({ ...part, depth })
    if (OPENING.has(sign)) depth += 1
  }
  return statementOf(parts)
}

function partAt(sql: string, { kind, start, end }: Token, following: () => Piece['tokens']): Omit<Part, 'depth'> {
  const text = sql.slice(start, end)
  const closing = text === '{' ? parameterEnd(sql, following()) : undefined
  if (!closing) return { kind, text: unquoted(kind, text), start, end }
  return { kind: 'parameter', text: sql.slice(end, closing.start).replaceAll(/\s/g, ''), start, end: closing.end }
}

const OPENING: ReadonlySet<string> = new Set(['(', '[', '{'])
const CLOSING: ReadonlySet<string> = new Set([')', ']', '}'])
/** `{name:Nested(a Array(String))}` and the like; longer ones are no parameters that files have. */
const LONGEST_PARAMETER = 24

/** The brace that closes a parameter, where the first token opens one: `{name:Type}`. */
function parameterEnd(sql: string, tokens: Piece['tokens']): Token | undefined {
  const isSignAt = (i: number, sign: string): boolean => sql.slice(tokens[i]?.start, tokens[i]?.end) === sign
  if (tokens[1]?.kind !== 'word' || !isSignAt(2, ':')) return undefined
  return tokens.find((_, i) => i > 2 && isSignAt(i, '}'))
}

function unquoted(kind: TokenKind, text: string): string {
  if (kind === 'name') return text.slice(1, -1)
  return kind === 'string' ? text.replace(/^(?:'|‘|\$\w*\$)|(?:'|’|\$\w*\$)$/g, '') : text
}

/** Some parts of a statement as one of their own. */
export function statementOf(parts: readonly Part[]): Statement {
  const places: number[] = []
  let shape = ''
  for (const [i, part] of parts.entries()) {
    places.push(shape.length)
    shape += `${shapeOf(part, i)} `
  }
  return { parts, shape, partAt: (place) => lastNotAfter(places, place) }
}

function shapeOf({ kind, text }: Part, i: number): string {
  if (kind === 'name') return `\`${i}\``
  if (kind === 'string') return `'${i}'`
  return kind === 'parameter' ? `{${i}}` : text.toUpperCase()
}

function lastNotAfter(places: readonly number[], place: number): number {
  let [low, high] = [0, places.length - 1]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((places[middle] ?? 0) <= place) low = middle
    else high = middle - 1
  }
  return low
}

/** Cuts where a test holds, outside brackets; the parts that it holds for begin the next group. */
export function groupsOf(parts: readonly Part[], begins: (i: number) => boolean): readonly (readonly Part[])[] {
  const groups: Part[][] = [[]]
  for (const [i, part] of parts.entries()) {
    if (i > 0 && begins(i)) groups.push([])
    groups.at(-1)?.push(part)
  }
  return groups.filter((group) => group.length > 0)
}

/** Whether a part is that sign. */
export function isSign(part: Part | undefined, sign: string): boolean {
  return part?.kind === 'sign' && part.text === sign
}

/** Whether a part is one of those words, in whatever case; a quoted one is not. */
export function isWord(part: Part | undefined, ...words: readonly string[]): boolean {
  return part?.kind === 'word' && words.includes(part.text.toUpperCase())
}
