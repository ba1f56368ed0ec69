/** Finds keys by a value; a key may stand under several values. */
export class IndexMap {
  readonly #keys = new Map<string, Set<string>>()

  keys(value: string): Iterable<string> {
    return this.#keys.get(value) ?? []
  }

  add(key: string, values: readonly string[]): void {
    for (const value of values) this.#keys.set(value, (this.#keys.get(value) ?? new Set()).add(key))
  }

  delete(key: string, values: readonly string[]): void {
    for (const value of values) {
      const held = this.#keys.get(value)
      held?.delete(key)
      if (held?.size === 0) this.#keys.delete(value)
    }
  }
}
