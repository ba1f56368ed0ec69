import { types } from 'pg'

/** The type text[]. */
const TEXT_ARRAY = 1009
/** An element in quotes, in which a backslash takes the next character as it is; or one without. */
const ELEMENT = /"((?:[^"\\]|\\.)*)"|([^,]+)/gs

/**
 * Reads Postgres' text form of a text[] of one dimension. Half of what a look at a shard reads are such arrays, tens of thousands
 * of them, and pg's own reader, which goes by the character, keeps everything else waiting meanwhile.
 */
export function parseTextArray(text: string): (string | null)[] {
  const inside = text.slice(1, -1)
  if (inside === '') return []
  if (!inside.includes('"') && !inside.includes('NULL')) return inside.split(',')
  return Array.from(inside.matchAll(ELEMENT), ([, quoted, plain]) => {
    if (quoted !== undefined) return quoted.replace(/\\(.)/gs, '$1')
    return plain === undefined || plain.toUpperCase() === 'NULL' ? null : plain
  })
}

/** For a client's `types`. */
export const TYPES: { getTypeParser: typeof types.getTypeParser } = {
  getTypeParser: (oid: number, format?: string) =>
    oid === TEXT_ARRAY && format !== 'binary' ? parseTextArray : types.getTypeParser(oid, format as 'text'),
}
