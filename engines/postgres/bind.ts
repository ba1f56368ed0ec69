import type { SqlText } from '../model.ts'
import { name, text } from './sql/quote.ts'

/** What the placeholders of a SQL file stand for. */
export interface Bound {
  readonly schema: string
  readonly tenant: string
}

/** The body of a SQL file, or a range of its characters, with the values in the place of its placeholders. */
export function bind(
  { body, placeholders = [] }: SqlText,
  values: Bound,
  { start, end }: { readonly start: number; readonly end: number } = { start: 0, end: body.length },
): string {
  const inside = placeholders
    .filter((one) => one.start >= start && one.end <= end)
    .toSorted((a, b) => a.start - b.start)
  const parts = inside.flatMap((one, n) => {
    const before = body.slice(inside[n - 1]?.end ?? start, one.start)
    return [before, one.as === 'identifier' ? name(values[one.value]) : text(values[one.value])]
  })
  return [...parts, body.slice(inside.at(-1)?.end ?? start, end)].join('')
}
