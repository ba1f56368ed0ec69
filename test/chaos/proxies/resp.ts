import type { Socket } from 'node:net'

/** One command or reply, whole. `words` are its strings where it is a flat array of them. */
export interface Frame {
  readonly bytes: Buffer
  readonly words: readonly string[]
}

/** Cuts what a socket brings into RESP2 values. */
export async function* frames(socket: Socket): AsyncGenerator<Frame> {
  let pending: Buffer = Buffer.alloc(0)
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk
    for (;;) {
      const words: string[] = []
      const end = endOf(pending, 0, words)
      if (end < 0) break
      yield { bytes: pending.subarray(0, end), words }
      pending = pending.subarray(end)
    }
  }
}

/** Where the value that begins at `from` ends; -1 when it is not complete. */
function endOf(bytes: Buffer, from: number, words: string[]): number {
  const line = bytes.indexOf('\r\n', from)
  if (line < 0) return -1
  const type = bytes.toString('latin1', from, from + 1)
  const count = Number(bytes.toString('latin1', from + 1, line))
  const next = line + 2
  if (type === '$') return endOfText(bytes, next, count, words)
  if (type !== '*') return next
  let end = next
  for (let item = 0; item < count && end >= 0; item++) end = endOf(bytes, end, words)
  return end
}

function endOfText(bytes: Buffer, from: number, length: number, words: string[]): number {
  if (length < 0) return from
  const end = from + length + 2
  if (bytes.length < end) return -1
  words.push(bytes.toString('utf8', from, end - 2))
  return end
}
