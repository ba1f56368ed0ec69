import { name, text } from '../sql/quote.ts'
import type { IndexTarget } from './utility.ts'

/** What is there under an index's name. */
export interface FoundIndex {
  readonly table: string
  readonly valid: boolean
  readonly unique: boolean
}

/** One row where the schema has an index of that name; over a safe search path. */
export function findIndex(schema: string, index: string): string {
  return `SELECT t.relname::text AS table, i.indisvalid AS valid, i.indisunique AS unique
  FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid
  WHERE c.relname = ${text(index)} AND c.relnamespace = to_regnamespace(${text(name(schema))})`
}

/** Names of invalid indexes that a REINDEX CONCURRENTLY of the schema left, or took the place of. */
export function leftovers(schema: string): string {
  return `SELECT c.relname::text AS name FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
  WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND c.relnamespace = to_regnamespace(${text(name(schema))})`
}

/** Waits for those who use it, and holds up nobody. */
export function dropIndex(schema: string, index: string): string {
  return `DROP INDEX CONCURRENTLY IF EXISTS ${name(schema)}.${name(index)}`
}

/** Whether it is what the statement makes, as far as names tell. */
export function isThere(found: FoundIndex | undefined, { table, unique }: IndexTarget): boolean {
  return found?.valid === true && found.table === table && found.unique === unique
}
