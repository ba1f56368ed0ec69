import type { SchemaAnswer } from '@tenantry/engines/model.ts'
import { wordsFor } from '@tenantry/engines/postgres/picture/words.ts'

const MOST_TOLD = 8

/** What differs in one schema, in a sentence; '' when nothing does. Pure. */
export function wordsOf({ differences }: SchemaAnswer): string {
  const told = differences.slice(0, MOST_TOLD).map(wordsFor)
  const more = differences.length - told.length
  return told.join(', ') + (more > 0 ? `, and ${more} more` : '')
}
