import { type Parsed, scanSql } from './parser.ts'

const LONGEST = 63
/** As many characters in a row as a name in question has at least: 63 bytes may be 16 characters of four. */
const SUSPECT = [run(LONGEST + 1), run(16)] as const

/** A name that the server would cut off, and where it is. */
export interface LongName {
  readonly name: string
  readonly at: number
}

/** The names of more than 63 bytes in a statement. The tree has them cut off already, so its tokens are looked at. */
export async function longNames(statement: Parsed, text: string): Promise<readonly LongName[]> {
  const ascii = Buffer.byteLength(text) === text.length
  if (!SUSPECT[ascii ? 0 : 1].test(text)) return []
  const { value = [] } = await scanSql(text)
  return value
    .filter(({ tokenName }) => tokenName === 'IDENT')
    .map(({ text: token, start }) => ({ name: unquote(token), at: statement.start + start }))
    .filter(({ name }) => Buffer.byteLength(name) > LONGEST)
}

/** A name without quotes, or anything in quotes. */
function run(length: number): RegExp {
  return new RegExp(`[\\p{L}\\p{N}\\p{M}_$]{${length},}|"[^"]{${length},}`, 'u')
}

function unquote(token: string): string {
  return token.startsWith('"') ? token.slice(1, -1).replaceAll('""', '"') : token
}
