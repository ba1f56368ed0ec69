/** ClickHouse reads backslash escapes in both kinds of quotes, so the backslash must be escaped before the quote itself. */
function escapeIn(quote: string, text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`).replaceAll('\0', '\\0')
  return quote + escaped + quote
}

/** A quoted identifier for DDL, which takes no query parameters in most places. */
export function identifier(name: string): string {
  return escapeIn('`', name)
}

/** A quoted string literal for DDL. Statements that can bind parameters do that instead. */
export function literal(text: string): string {
  return escapeIn("'", text)
}

/** `` `database`.`table` `` */
export function qualified(database: string, table: string): string {
  return `${identifier(database)}.${identifier(table)}`
}
