import { escapeIdentifier, escapeLiteral } from 'pg'

export { escapeIdentifier as name, escapeLiteral as text }

/** A PL/pgSQL block. The body is quoted as a whole; names and values inside it are quoted by whoever writes it. */
export function block(body: string, declare = ''): string {
  return `DO ${escapeLiteral(`${declare ? `DECLARE ${declare} ` : ''}BEGIN\n${body}\nEND`)}`
}

/** A list of names for `= ANY (…)`. */
export function nameArray(names: readonly string[]): string {
  return `ARRAY[${names.map(escapeLiteral).join(', ')}]::name[]`
}
