/** A comment between statements; offsets are in bytes. */
export interface Comment {
  readonly text: string
  readonly start: number
  /** Whether nothing but blanks stands before it on its line. */
  readonly ownLine: boolean
}

const [TAB, NEWLINE, RETURN, BLANK, STAR, DASH, SLASH] = [0x09, 0x0a, 0x0d, 0x20, 0x2a, 0x2d, 0x2f] as const

/**
 * The comments in a part of a file that lies between two statements. Nothing else but blanks and semicolons is there, and no
 * string either, so that what looks like a comment is one.
 */
export function commentsBetween(bytes: Buffer, from: number, to: number): readonly Comment[] {
  const found: Comment[] = []
  for (let at = from; at < to - 1; ) {
    const end = commentEnd(bytes, at, to)
    if (end !== undefined) found.push({ text: bytes.toString('utf8', at, end), start: at, ownLine: ownLine(bytes, at) })
    at = end ?? at + 1
  }
  return found
}

function commentEnd(bytes: Buffer, at: number, to: number): number | undefined {
  const [first, second] = [bytes[at], bytes[at + 1]]
  if (first === DASH && second === DASH) return lineEnd(bytes, at, to)
  return first === SLASH && second === STAR ? blockEnd(bytes, at, to) : undefined
}

function lineEnd(bytes: Buffer, at: number, to: number): number {
  let end = at
  while (end < to && bytes[end] !== NEWLINE && bytes[end] !== RETURN) end += 1
  return end
}

/** Comments of this kind nest. */
function blockEnd(bytes: Buffer, start: number, to: number): number {
  let depth = 0
  for (let at = start; at < to - 1; at += 1) {
    const opens = bytes[at] === SLASH && bytes[at + 1] === STAR
    const closes = bytes[at] === STAR && bytes[at + 1] === SLASH
    if (!opens && !closes) continue
    depth += opens ? 1 : -1
    at += 1
    if (depth === 0) return at + 1
  }
  return to
}

function ownLine(bytes: Buffer, start: number): boolean {
  let at = start - 1
  while (at >= 0 && (bytes[at] === BLANK || bytes[at] === TAB)) at -= 1
  return at < 0 || bytes[at] === NEWLINE
}
