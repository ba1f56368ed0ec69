import { Heap, type HeapItem } from './heap.ts'

/** Work that may run only while each of its lanes has room. */
export interface LaneItem extends HeapItem {
  readonly key: string
  /** The lane on whose behalf the item was woken. */
  wokenFor?: string | undefined
}

/**
 * The bulkhead of a queue: at most so many runs at a time in each lane, so that the work of one lane that hangs never
 * takes every worker. Items that found a lane full are parked here, and one is woken for each place that frees.
 */
export class Lanes<T extends LaneItem> {
  readonly #capacity: number
  readonly #of: (key: string) => readonly string[]
  readonly #before: (a: T, b: T) => boolean
  readonly #taken = new Map<string, number>()
  readonly #parked = new Map<string, Heap<T>>()

  /** `of` names the lanes of a key; it is asked at every start. `before` orders the parked. */
  constructor(capacity: number, of: (key: string) => readonly string[], before: (a: T, b: T) => boolean) {
    this.#capacity = capacity
    this.#of = of
    this.#before = before
  }

  /**
   * Takes a place in every lane of the item and returns the lanes; where one is full, parks the item, returns undefined
   * and hands any place that it was woken for on to `wake`.
   */
  enter(item: T, wake: (item: T) => void): readonly string[] | undefined {
    const lanes = [...new Set(this.#of(item.key))]
    const { wokenFor } = item
    item.wokenFor = undefined
    const full = lanes.find((lane) => this.#taking(lane) >= this.#capacity)
    if (full === undefined) {
      for (const lane of lanes) this.#taken.set(lane, this.#taking(lane) + 1)
    } else {
      this.#park(full, item)
    }
    const unused = wokenFor !== undefined && (full !== undefined || !lanes.includes(wokenFor))
    if (unused && wokenFor !== full) this.#wake(wokenFor, wake)
    return full === undefined ? lanes : undefined
  }

  /** Gives the places back, and wakes one parked item for each. */
  leave(lanes: readonly string[], wake: (item: T) => void): void {
    for (const lane of lanes) {
      const left = this.#taking(lane) - 1
      if (left > 0) this.#taken.set(lane, left)
      else this.#taken.delete(lane)
      this.#wake(lane, wake)
    }
  }

  /** Takes a parked item out, for its place in the order changes. True when it was parked. */
  unpark(item: T): boolean {
    for (const heap of this.#parked.values()) {
      heap.remove(item)
      if (item.at < 0) return true
    }
    return false
  }

  #taking(lane: string): number {
    return this.#taken.get(lane) ?? 0
  }

  #park(lane: string, item: T): void {
    const heap = this.#parked.get(lane) ?? new Heap(this.#before)
    heap.push(item)
    this.#parked.set(lane, heap)
  }

  #wake(lane: string, wake: (item: T) => void): void {
    const heap = this.#parked.get(lane)
    const item = heap?.pop()
    if (heap?.size === 0) this.#parked.delete(lane)
    if (!item) return
    item.wokenFor = lane
    wake(item)
  }
}
