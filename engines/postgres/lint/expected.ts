import { parseSql, scanSql } from './parser.ts'

const WORDS = (
  'ADD ALL ALTER AND AS ASC BEGIN BY CASCADE CHECK COLUMN COMMENT CONCURRENTLY CONSTRAINT COPY CREATE DEFAULT DELETE DESC ' +
  'DISTINCT DO DOMAIN DROP END ENUM EXECUTE EXISTS FOR FOREIGN FROM FUNCTION GENERATED GRANT GROUP HAVING IF IN INDEX INSERT ' +
  'INTO IS JOIN KEY LANGUAGE LIMIT MATERIALIZED NOT NULL OFFSET ON OR ORDER POLICY PRIMARY PROCEDURE REFERENCES RENAME REPLACE ' +
  'RETURNING RETURNS REVOKE SCHEMA SELECT SEQUENCE SET TABLE THEN TO TRIGGER TRUNCATE TYPE UNION UNIQUE UPDATE USING VALUES ' +
  'VIEW WHEN WHERE WITH'
).split(' ')
const SIGNS = ['(', ')', ',', ';', '=']
const A_NAME = 'zz'
/** Stand for anything of their sort. */
const SORTS: Readonly<Record<string, string>> = { [A_NAME]: 'a name', "'z'": 'a string', '1': 'a number' }

/** A beginning longer than this is not tried. */
const LONGEST = 20_000
/** More than so many possibilities help nobody. */
const MOST = 6

/**
 * What the parser would have taken in place of what it stumbled on, as the end of a message. The parser does not say; so it
 * is asked, with each word in turn behind what it had read of the statement.
 */
export async function expected(body: string, before: string): Promise<string> {
  const statement = await unfinished(before)
  if (statement === undefined) return ''
  const word = /^[\p{L}\p{N}_]*/u.exec(body.slice(before.length, before.length + LONGEST))?.[0].toUpperCase() ?? ''
  for (const near of WORDS.filter((each) => distance(each, word) <= (each.length > 3 ? 2 : 1))) {
    if (await goesOn(statement, near)) return `; did you mean ${near}?`
  }
  const possible = await possibilities(statement)
  if (possible.length === 0) return ''
  return `; expected ${possible.slice(0, MOST).join(', ')}${possible.length > MOST ? ', …' : ''}`
}

async function possibilities(statement: string): Promise<readonly string[]> {
  const sorts = await thoseThatGoOn(statement, Object.keys(SORTS))
  const signs = await thoseThatGoOn(statement, SIGNS)
  // Most words may be names as well: where a name is possible they tell nothing.
  const words = await thoseThatGoOn(statement, sorts.includes(A_NAME) ? await reserved() : WORDS)
  return [...sorts.map((sort) => SORTS[sort] ?? sort), ...signs.map((sign) => `"${sign}"`), ...words]
}

async function thoseThatGoOn(statement: string, words: readonly string[]): Promise<readonly string[]> {
  const found: string[] = []
  for (const word of words) if (await goesOn(statement, word)) found.push(word)
  return found
}

async function reserved(): Promise<readonly string[]> {
  const { value = [] } = await scanSql(WORDS.join(' '))
  return value.filter(({ keywordName }) => keywordName === 'RESERVED_KEYWORD').map(({ text }) => text)
}

/** The statement that the text ends within. */
async function unfinished(before: string): Promise<string | undefined> {
  const text = before.slice(-LONGEST)
  const { value } = await scanSql(text)
  if (value === undefined) return undefined
  const last = value.findLast(({ text: token }) => token === ';')
  const statement = last ? Buffer.from(text).toString('utf8', last.end) : text
  return text.length < before.length && last === undefined ? undefined : statement
}

/** Whether the parser takes the word there: it then misses only what comes after, or nothing. */
async function goesOn(statement: string, word: string): Promise<boolean> {
  const { refusal } = await parseSql(`${statement} ${word}`)
  return refusal === undefined || refusal.message.endsWith('at end of input')
}

/** In how many letters two words differ; two that changed places count as one. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Number.POSITIVE_INFINITY
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0
  for (let i = 1; i <= a.length; i += 1) {
    rows.push([i])
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const change = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + Number(!same))
      rows[i]?.push(swapped ? Math.min(change, at(i - 2, j - 2) + 1) : change)
    }
  }
  return at(a.length, b.length)
}
