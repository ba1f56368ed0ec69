/** Where a heap keeps an item; an item is in one heap at most, and `at` is -1 when it is in none. */
export interface HeapItem {
  at: number
}

/** A binary heap from which any item can be taken out, in logarithmic time. */
export class Heap<T extends HeapItem> {
  readonly #items: T[] = []
  readonly #before: (a: T, b: T) => boolean

  /** `before(a, b)` says that a comes out before b. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    item.at = this.#items.length
    this.#items.push(item)
    this.#up(item)
  }

  pop(): T | undefined {
    const first = this.#items[0]
    if (first) this.remove(first)
    return first
  }

  /** Takes the item out; one that is in no heap is left alone. */
  remove(item: T): void {
    if (this.#items[item.at] !== item) return
    const last = this.#items.pop()
    const hole = item.at
    item.at = -1
    if (last === undefined || last === item) return
    this.#place(last, hole)
    this.#up(last)
    this.#down(last)
  }

  #place(item: T, at: number): void {
    item.at = at
    this.#items[at] = item
  }

  #up(item: T): void {
    for (;;) {
      const parent = this.#items[(item.at - 1) >> 1]
      if (item.at === 0 || parent === undefined || !this.#before(item, parent)) return
      this.#swap(item, parent)
    }
  }

  #down(item: T): void {
    for (;;) {
      const left = this.#items[2 * item.at + 1]
      const right = this.#items[2 * item.at + 2]
      const child = left && right && this.#before(right, left) ? right : left
      if (child === undefined || !this.#before(child, item)) return
      this.#swap(item, child)
    }
  }

  #swap(a: T, b: T): void {
    const at = a.at
    this.#place(a, b.at)
    this.#place(b, at)
  }
}
