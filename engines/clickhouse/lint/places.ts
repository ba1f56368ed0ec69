import { isSign, isWord, type Part } from './reading.ts'

/** A name where a statement means a table, or a function in the place of one. */
export interface TablePlace {
  /** Its identifiers, without the dots. */
  readonly path: readonly Part[]
  readonly isFunction: boolean
}

/** After these comes a table, whatever the statement. */
const ALWAYS = ['IN', 'INTO', 'TABLE', 'TABLES', 'VIEW', 'DICTIONARY', 'FUNCTION', 'DEPENDS']
/** After these, where they begin the statement. */
const FIRST = ['UPDATE', 'TRUNCATE', 'OPTIMIZE', 'RENAME', 'DESCRIBE', 'DESC', 'EXISTS']
/** After the names behind these a list may follow in brackets that makes no table function of them. */
const WITH_COLUMNS = ['IN', 'INTO', 'TABLE', 'TABLES', 'VIEW', 'DICTIONARY', 'TO', 'ON', 'EXISTS']
const SKIPPED = ['IF', 'NOT', 'EXISTS', 'EMPTY', 'TABLE', 'FUNCTION', 'ON']
const CLAUSES =
  'WHERE PREWHERE GROUP HAVING ORDER LIMIT OFFSET SETTINGS UNION INTERSECT EXCEPT WINDOW QUALIFY FORMAT SELECT SYNC SET'.split(
    ' ',
  )

/** Every place of a statement where a table or a function in its place is meant. May name one that is no table, too. */
export function tablePlaces(parts: readonly Part[]): readonly TablePlace[] {
  const found: TablePlace[] = []
  const seen = new Set<number>()
  const look = (keyword: number, at: number): void => {
    const place = placeAt(parts, skip(parts, at), isWord(parts[keyword], ...WITH_COLUMNS))
    if (!place || seen.has(place.path[0]?.start ?? -1)) return
    seen.add(place.path[0]?.start ?? -1)
    found.push(place)
  }
  for (const i of parts.keys()) {
    if (!means(parts, i)) continue
    look(i, i + 1)
    if (lists(parts, i)) for (const comma of commas(parts, i)) look(i, comma + 1)
  }
  return found
}

function means(parts: readonly Part[], i: number): boolean {
  const part = parts[i]
  if (part?.kind !== 'word' || isSign(parts[i - 1], '.') || isSign(parts[i + 1], '.')) return false
  if (i === 0) return isWord(part, ...FIRST)
  return MEANS[part.text.toUpperCase()]?.(parts, i) ?? isWord(part, ...ALWAYS)
}

/** When these words are followed by a table. */
const MEANS: Readonly<Record<string, (parts: readonly Part[], i: number) => boolean>> = {
  FROM: isTableFrom,
  JOIN: (parts, i) => !isWord(parts[i - 1], 'ARRAY'),
  TO: (parts) => isWord(parts[0], 'CREATE', 'RENAME', 'ALTER'),
  ON: (parts) => isWord(parts[0], 'CREATE', 'DROP') && isWord(parts[1], 'INDEX'),
  AND: (parts) => isWord(parts[0], 'EXCHANGE'),
  AS: (parts, i) => parts[i]?.depth === 0 && isWord(parts[0], 'CREATE'),
}

/** Not that of `extract(DAY FROM at)` and the like, which stands in brackets that hold no query. */
function isTableFrom(parts: readonly Part[], i: number): boolean {
  const depth = parts[i]?.depth ?? 0
  if (depth === 0) return true
  for (let at = i; at >= 0; at--) {
    const part = parts[at]
    if (part && part.depth < depth) return isWord(parts[at + 1], 'FROM', 'WITH', 'SELECT')
    if (part?.depth === depth && isWord(part, 'SELECT')) return true
  }
  return true
}

function lists(parts: readonly Part[], i: number): boolean {
  return isWord(parts[i], 'FROM') || isWord(parts[0], 'DROP', 'RENAME')
}

/** The commas between tables: at the depth of the keyword, before the next clause, and not those of an ARRAY JOIN. */
function commas(parts: readonly Part[], from: number): readonly number[] {
  const depth = parts[from]?.depth ?? 0
  const found: number[] = []
  let array = false
  for (let i = from + 1; i < parts.length && !endsList(parts[i], depth); i++) {
    if (parts[i]?.depth !== depth) continue
    if (isWord(parts[i], 'JOIN')) array = isWord(parts[i - 1], 'ARRAY')
    if (isSign(parts[i], ',') && !array) found.push(i)
  }
  return found
}

function endsList(part: Part | undefined, depth: number): boolean {
  return part === undefined || part.depth < depth || (part.depth === depth && isWord(part, ...CLAUSES))
}

function skip(parts: readonly Part[], from: number): number {
  let at = from
  while (isWord(parts[at], ...SKIPPED) && !isSign(parts[at + 1], '(') && !isSign(parts[at + 1], '.')) at += 1
  return at
}

function placeAt(parts: readonly Part[], at: number, columns: boolean): TablePlace | undefined {
  // `IN (database.table)` names a table as well.
  if (isWord(parts[at - 1], 'IN') && isSign(parts[at], '(')) {
    const path = pathAt(parts, at + 1)
    return isSign(parts[at + 2 * path.length], ')') && path.length > 1 ? { path, isFunction: false } : undefined
  }
  const path = pathAt(parts, at)
  if (path.length === 0) return undefined
  const instead = !columns || isWord(parts[at - 1], 'FUNCTION')
  return { path, isFunction: instead && isSign(parts[at + 2 * path.length - 1], '(') }
}

/** The identifiers at a place, joined by dots. */
export function pathAt(parts: readonly Part[], at: number): readonly Part[] {
  const path: Part[] = []
  for (let i = at; ; i += 2) {
    const part = parts[i]
    if (!part || part.kind === 'sign' || part.kind === 'string' || part.kind === 'comment') return path
    path.push(part)
    if (!isSign(parts[i + 1], '.')) return path
  }
}
