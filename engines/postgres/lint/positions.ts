/** A place in a file, counted from 1; columns count characters as people do, not bytes. */
export interface Place {
  readonly line: number
  readonly column: number
}

const NEWLINE = 0x0a

/** Finds the line and column of a byte of the file. */
export type Positions = (offset: number) => Place

/** Notes where the lines of a file begin, so that each lookup costs a search among them. */
export function positionsOf(bytes: Uint8Array): Positions {
  const starts = [0]
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) starts.push(at + 1)
  // Findings come about in the order of the file: counting goes on from the one before, or a long line would be counted often.
  let last = { start: 0, offset: 0, column: 1 }
  return (offset) => {
    const line = lastNotAfter(starts, offset)
    const start = starts[line] ?? 0
    const from = last.start === start && last.offset <= offset ? last : { start, offset: start, column: 1 }
    last = { start, offset, column: from.column + characters(bytes.subarray(from.offset, offset)) }
    return { line: line + 1, column: last.column }
  }
}

/** The byte at which the n-th character of a text begins. */
export function byteOfCharacter(bytes: Uint8Array, n: number): number {
  let seen = 0
  for (let at = 0; at < bytes.length; at += 1) {
    if (!startsCharacter(bytes[at])) continue
    if (seen === n) return at
    seen += 1
  }
  return bytes.length
}

function characters(bytes: Uint8Array): number {
  let count = 0
  for (const byte of bytes) if (startsCharacter(byte)) count += 1
  return count
}

function startsCharacter(byte = 0): boolean {
  return (byte & 0xc0) !== 0x80
}

function lastNotAfter(starts: readonly number[], offset: number): number {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}
