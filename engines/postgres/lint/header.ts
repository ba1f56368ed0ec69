import { shown } from './shown.ts'

const PHASES = ['expand', 'backfill', 'contract'] as const

/** In which step of a change that old and new versions of a program survive a file belongs. */
export type Phase = (typeof PHASES)[number]

/** What the comment lines at the top of a file say of it. */
export interface Header {
  /** False for `-- tx: none`: the statements run one by one, outside a transaction. */
  readonly transaction: boolean
  readonly phase?: Phase
  /** The version of the file that must have been applied before, without leading zeros. */
  readonly requires?: string
}

/** A header line that cannot be used; `line` counts from 1. */
export interface HeaderProblem {
  readonly line: number
  readonly message: string
}

/** A header, and what of it cannot be used. */
export interface ParsedHeader {
  readonly header: Header
  readonly problems: readonly HeaderProblem[]
}

const LINE = /^--[ \t]*(?<key>[a-z][a-z-]*):(?:[ \t]+(?<value>.*))?$/

const READ: Readonly<Record<string, (value: string) => Partial<Header> | string>> = {
  tx: (value) => (value === 'none' ? { transaction: false } : 'must be none; leave the line out for a transaction'),
  phase: (value) => {
    const phase = PHASES.find((each) => each === value)
    return phase === undefined ? `must be one of ${PHASES.join(', ')}` : { phase }
  },
  requires: (value) =>
    /^\d{1,20}$/.test(value)
      ? { requires: value.replace(/^0+(?=\d)/, '') }
      : 'must be the number that the name of the other file begins with',
}

/**
 * Reads the header: the lines before the first statement that begin with `--` and say `key: value`. Comments in whole
 * sentences may stand among them.
 */
export function parseHeader(body: string): ParsedHeader {
  const seen = new Set<string>()
  const problems: HeaderProblem[] = []
  let header: Header = { transaction: true }
  for (const { line, key, value } of headerLines(body)) {
    const read = Object.hasOwn(READ, key) ? READ[key]?.(value) : undefined
    if (read === undefined) problems.push({ line, message: unknownKey(key) })
    else if (seen.has(key)) problems.push({ line, message: `${key}: is said twice` })
    else if (typeof read === 'string') problems.push({ line, message: `${key}: ${read}, and is "${shown(value)}"` })
    else header = { ...header, ...read }
    seen.add(key)
  }
  return { header, problems }
}

function* headerLines(body: string): Generator<{ line: number; key: string; value: string }> {
  let line = 0
  let at = body.startsWith('\uFEFF') ? 1 : 0
  while (at < body.length) {
    const newline = body.indexOf('\n', at)
    const end = newline === -1 ? body.length : newline
    const start = body.slice(at, Math.min(end, at + 2)).trim()
    if (start !== '--' && body.slice(at, end).trim() !== '') return
    line += 1
    const { key, value = '' } = LINE.exec(body.slice(at, end).trim())?.groups ?? {}
    if (key !== undefined) yield { line, key, value: value.trim() }
    at = end + 1
  }
}

function unknownKey(key: string): string {
  return `"${shown(key)}:" is no key of a header: known are ${Object.keys(READ).join(', ')}; write a remark without a colon after its first word`
}
