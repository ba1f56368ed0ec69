import type { ObjectKind } from './objects.ts'

const LONGEST = 200

/** Bodies of functions may hold anything. */
const UNTOLD: readonly ObjectKind[] = ['function', 'procedure']

/**
 * A field's value as it may be shown: in one line, not too long, and with `'…'` for each literal but the labels of an enum, which
 * are names. Undefined for what is not shown, and for no value.
 */
export function masked(kind: ObjectKind, field: string, value: string | undefined): string | undefined {
  if (value === undefined || (UNTOLD.includes(kind) && field === 'definition')) return undefined
  const text = (field === 'labels' ? value : withoutLiterals(value)).replaceAll(/\s+/g, ' ').trim()
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

/** A quoted name may hold a quote of the other kind, so both are read. Only in E'…' a backslash means more than itself. */
const QUOTED = /"(?:[^"]|"")*"|\b[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'/gs

function withoutLiterals(text: string): string {
  return text.replaceAll(QUOTED, (part) => (part.startsWith('"') ? part : "'…'"))
}
