import type { Socket } from 'node:net'

/** How long a piece of work may keep the event loop for itself. */
const SLICE_MS = 10
/** Looking at the clock costs as much as a small piece of work. */
const LOOK_EVERY = 16

/** So much of an answer is read within a few milliseconds. */
const TURN_BYTES = 65_536

/** Those that wait for their next slice, in the order in which they came. */
const waiting: (() => void)[] = []

/** One slice in each round of the event loop, however many work side by side. */
function grantNext(): void {
  const grant = waiting.shift()
  if (waiting.length > 0) setImmediate(grantNext)
  grant?.()
}

/** For long work in many small pieces: tells when others must have their turn. */
export class Slices {
  #endsAt = performance.now() + SLICE_MS
  #count = 0

  get isOver(): boolean {
    return ++this.#count % LOOK_EVERY === 0 && performance.now() >= this.#endsAt
  }

  /** Resolves after everything else that was due has run, and others that work in slices have had theirs. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(grantNext)
    })
    this.#endsAt = performance.now() + SLICE_MS
  }
}

/** As `items.map(change)`, with the event loop left to others every now and then. */
export async function mapInSlices<T, R>(items: readonly T[], change: (item: T) => R): Promise<R[]> {
  const slices = new Slices()
  const changed: R[] = []
  for (const item of items) {
    changed.push(change(item))
    if (slices.isOver) await slices.next()
  }
  return changed
}

/**
 * Has answers that come faster than they can be taken apart read in slices: libuv takes up to two megabytes from one connection
 * before anybody else has a turn.
 */
export function readInTurns(stream: Socket): void {
  const slices = new Slices()
  let bytes = 0
  stream.on('data', ({ length }: Buffer) => {
    bytes += length
    if (bytes < TURN_BYTES) return
    bytes = 0
    stream.pause()
    void slices.next().then(() => stream.resume())
  })
}
