import type { PgChange } from '../diff/claim.ts'

/** Which parts of a thing a change is about: all of them when it is made, else the fields that differ. */
export interface Topics {
  readonly fresh: boolean
  /** Made, or differing in this field. */
  readonly includes: (field: string) => boolean
  /** There already, and differing in this field. */
  readonly changed: (field: string) => boolean
  /** There already, and differing in a field whose name holds this. */
  readonly mentions: (part: string) => boolean
}

export function topicsOf({ op, fields }: PgChange): Topics {
  const fresh = op === 'create'
  const names = fields.map(({ field }) => field)
  return {
    fresh,
    includes: (field) => fresh || names.includes(field),
    changed: (field) => !fresh && names.includes(field),
    mentions: (part) => !fresh && names.some((name) => name.includes(part)),
  }
}
