/** How long a piece of work may keep the event loop for itself. */
const SLICE_MS = 10
/** Looking at the clock costs as much as a small piece of work. */
const LOOK_EVERY = 16

/** For long work in many small pieces: tells when others must have their turn. Several that run side by side each take a slice. */
export class Slices {
  #endsAt = performance.now() + SLICE_MS
  #count = 0

  get isOver(): boolean {
    return ++this.#count % LOOK_EVERY === 0 && performance.now() >= this.#endsAt
  }

  /** Resolves after everything else that was due has run. */
  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
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
