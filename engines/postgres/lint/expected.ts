import { parseSql, scanSql } from './parser.ts'
import { shown } from './shown.ts'

const WORDS = (
  'ADD ALL ALTER AND AS ASC BEGIN BY CASCADE CHECK COLUMN COMMENT CONCURRENTLY CONSTRAINT COPY CREATE DEFAULT DELETE DESC ' +
  'DISTINCT DO DOMAIN DROP END ENUM EXECUTE EXISTS FOR FOREIGN FROM FUNCTION GENERATED GRANT GROUP HAVING IF IN INDEX INSERT ' +
  'INTO IS JOIN KEY LANGUAGE LIMIT MATERIALIZED NOT NULL OFFSET ON OR ORDER POLICY PRIMARY PROCEDURE REFERENCES RENAME REPLACE ' +
  'RETURNING RETURNS REVOKE SCHEMA SELECT SEQUENCE SET TABLE THEN TO TRIGGER TRUNCATE TYPE UNION UNIQUE UPDATE USING VALUES ' +
  'VIEW WHEN WHERE WITH'
).split(' ')
const SIGNS = ['(', ')', ',', ';', '=']
/** Stand for anything of their sort. */
const SORTS: Readonly<Record<string, string>> = { zz: 'a name', "'z'": 'a string', '1': 'a number' }

/** A beginning longer than this is not tried. */
const LONGEST = 20_000
/** More than so many possibilities help nobody. */
const MOST = 6

/**
 * What the parser would have taken in place of what it stumbled on, as the end of a message. The parser does not say; so it
 * is asked, with each word in turn behind what it had read of the statement.
 */
export async function expected(body: string, before: string): Promise<string> {
  const found = await wordAt(body.slice(before.length, before.length + LONGEST))
  const statement = await unfinished(before)
  if (statement === undefined || found === undefined) return ''
  const near = WORDS.filter((word) => distance(word, found.toUpperCase()) <= (word.length > 3 ? 2 : 1))
  for (const word of near) if (await goesOn(statement, word)) return `; did you mean ${word}?`
  const possible: string[] = []
  for (const word of [...Object.keys(SORTS), ...SIGNS, ...WORDS]) if (await goesOn(statement, word)) possible.push(word)
  const names = possible.map((word) => SORTS[word] ?? word)
  if (names.length === 0) return ''
  const more = names.length > MOST ? ', …' : ''
  return `; expected ${names.slice(0, MOST).join(', ')}${more}`
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

async function wordAt(text: string): Promise<string | undefined> {
  const word = /^[\p{L}\p{N}_]*/u.exec(text)?.[0] ?? ''
  return shown(word)
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
