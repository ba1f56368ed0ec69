import { Gauge, type Registry } from 'prom-client'

/** An object whose conditions are counted. */
export interface WithConditions {
  readonly status?: { readonly conditions?: Conditions | undefined } | undefined
}

type Conditions = readonly { readonly type: string; readonly status: string }[]

/** Anybody who may write a status may invent condition types: beyond this many series of a kind the rest is counted together. */
const MOST_SERIES = 200

/**
 * Counts conditions as objects come, change and go, so that a scrape costs nothing per object. Told of each object by its kind
 * and name; without `object` it is gone.
 */
export function createConditionMetrics(
  registry: Registry,
): (kind: string, name: string, object: WithConditions | undefined) => void {
  const kinds = new Map<string, Counts>()
  const gauge: Gauge = new Gauge({
    name: 'tenantry_conditions',
    help: 'Objects of a kind that have a condition in a status',
    labelNames: ['kind', 'type', 'status'],
    registers: [registry],
    collect: () => {
      gauge.reset()
      for (const [kind, counts] of kinds) {
        for (const [type, status, count] of counts.series()) gauge.inc({ kind, type, status }, count)
      }
    },
  })
  return (kind, name, object) => {
    const counts = kinds.get(kind) ?? new Counts()
    kinds.set(kind, counts)
    counts.tell(name, object?.status?.conditions ?? [])
  }
}

class Counts {
  readonly #known = new Map<string, Conditions>()
  readonly #counts = new Map<string, number>()

  tell(name: string, now: Conditions): void {
    const before = this.#known.get(name) ?? []
    if (before === now) return
    for (const condition of before) this.#add(condition, -1)
    for (const condition of now) this.#add(condition, 1)
    if (now.length > 0) this.#known.set(name, now)
    else this.#known.delete(name)
  }

  *series(): Iterable<readonly [type: string, status: string, count: number]> {
    let shown = 0
    for (const [key, count] of this.#counts) {
      const [type = '', status = ''] = key.split(' ')
      if (shown++ < MOST_SERIES) yield [type, status, count]
      else yield ['other', 'other', count]
    }
  }

  /** Neither a type nor a status can hold a space. */
  #add({ type, status }: Conditions[number], by: number): void {
    const key = `${type} ${status}`
    const count = (this.#counts.get(key) ?? 0) + by
    if (count > 0) this.#counts.set(key, count)
    else this.#counts.delete(key)
  }
}
