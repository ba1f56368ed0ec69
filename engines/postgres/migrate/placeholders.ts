import type { Placeholder } from '../../model.ts'
import { scanSql } from '../lint/parser.ts'

/** What stands behind the colon, and what for. */
const VALUES: Readonly<Record<string, Pick<Placeholder, 'value' | 'as'>>> = {
  '"schema"': { value: 'schema', as: 'identifier' },
  "'schema'": { value: 'schema', as: 'literal' },
  "'tenant'": { value: 'tenant', as: 'literal' },
}

const ANY = /:(?:"schema"|'schema'|'tenant')/

/**
 * The placeholders of a SQL file in their order: `:"schema"`, `:'schema'` and `:'tenant'`, as psql writes them. Those within
 * strings, comments and dollar quotes are text. A file that cannot be read has none.
 */
export async function placeholdersOf(body: string): Promise<readonly Placeholder[]> {
  if (!ANY.test(body)) return []
  const { value: tokens = [] } = await scanSql(body)
  const found = tokens.flatMap((token, i) => {
    const next = tokens[i + 1]
    if (token.text !== ':' || next?.start !== token.end || !Object.hasOwn(VALUES, next.text)) return []
    const value = VALUES[next.text]
    return value === undefined ? [] : [{ start: token.start, end: next.end, ...value }]
  })
  return inCharacters(body, found)
}

/** The scanner counts bytes. */
function inCharacters(body: string, found: readonly Placeholder[]): readonly Placeholder[] {
  const bytes = Buffer.from(body)
  if (bytes.length === body.length) return found
  let [byte, character] = [0, 0]
  return found.map(({ start, end, ...rest }) => {
    character += bytes.toString('utf8', byte, start).length
    byte = start
    return { ...rest, start: character, end: character + end - start }
  })
}

/** How the parser is given the name of the file's own schema. */
export const OWN_SCHEMA = ':schema'

/**
 * The text as the parser can read it, which does not know placeholders: of the same length, with a name or a string in place of
 * each, and the colon within its quotes.
 */
export function readable(body: string, placeholders: readonly Placeholder[]): string {
  return replaced(body, placeholders, ({ start, end }) => {
    const quote = body.slice(end - 1, end)
    return `${quote}:${body.slice(start + 2, end)}`
  })
}

/** The text with something else in place of each placeholder. */
export function replaced(
  body: string,
  placeholders: readonly Placeholder[],
  by: (placeholder: Placeholder) => string,
): string {
  const parts: string[] = []
  let from = 0
  for (const placeholder of placeholders) {
    parts.push(body.slice(from, placeholder.start), by(placeholder))
    from = placeholder.end
  }
  return [...parts, body.slice(from)].join('')
}
