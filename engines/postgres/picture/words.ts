import type { FieldDiff, ObjectDifference } from '../../model.ts'
import { shown } from '../lint/shown.ts'

/** A difference in a line for people: `column orders.total differs: type is text, not bigint`. */
export function wordsFor({ kind, name, state, fields }: ObjectDifference): string {
  const what = `${kind} ${shown(name)}`
  if (state === 'missing') return `${what} is missing`
  if (state === 'extra') return `${what} is made by no SQL file`
  return `${what} differs: ${fields.map(wordsForField).join('; ')}`
}

function wordsForField({ field, want, found }: FieldDiff): string {
  if (want === undefined && found === undefined) return field
  if (want === found) return `${field} has another literal in ${want}`
  return `${field} is ${found ?? 'none'}, not ${want ?? 'none'}`
}
