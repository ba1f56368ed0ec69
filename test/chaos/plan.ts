/** What a plan is: one suite of lifecycles, and one fault at one write of it. Plain data, so that a file replays it. */

/** What a proxy stands in front of. */
export type Target = 'api' | 'postgres' | 'redis' | 'clickhouse'

/** A write by its name, which is the same in every run, and how often it has come by then (from 1). */
export interface FaultPoint {
  readonly target: Target
  readonly key: string
  readonly nth: number
}

/** Every class of faults: at which servers it makes sense, and how long it lasts where that is not a moment. */
export const CLASSES = {
  'crash-before': { targets: ['api', 'postgres', 'redis', 'clickhouse'] },
  'crash-after': { targets: ['api', 'postgres', 'redis', 'clickhouse'] },
  'lost-reply': { targets: ['api', 'postgres', 'redis', 'clickhouse'] },
  refuse: { targets: ['api', 'postgres', 'redis', 'clickhouse'] },
  delay: { targets: ['api', 'postgres', 'redis', 'clickhouse'], ms: 1_500 },
  'api-409': { targets: ['api'], ms: 1_500 },
  'api-429': { targets: ['api'], ms: 1_500 },
  'api-500': { targets: ['api'], ms: 1_500 },
  'api-504': { targets: ['api'], ms: 1_500 },
  'watch-cut': { targets: ['api', 'postgres'] },
  'watch-garbled': { targets: ['api', 'postgres'] },
  'watch-gone': { targets: ['api', 'postgres'] },
  'watch-half-open': { targets: ['api', 'postgres'] },
  hang: { targets: ['api', 'postgres', 'redis', 'clickhouse'], ms: 4_000 },
  outage: { targets: ['api', 'postgres', 'redis', 'clickhouse'], ms: 2_500 },
  full: { targets: ['postgres', 'redis'], ms: 2_500 },
  'read-only': { targets: ['postgres', 'redis'], ms: 2_500 },
  pause: { targets: ['api', 'postgres', 'redis', 'clickhouse'], ms: 3_000 },
  'clock-jump': { targets: ['api', 'postgres'], ms: 3_600_000 },
  'clock-back': { targets: ['api', 'postgres'], ms: -3_600_000 },
  'failover-crash': { targets: ['api', 'postgres', 'redis', 'clickhouse'] },
  'failover-pause': { targets: ['api', 'postgres', 'redis', 'clickhouse'], ms: 13_000 },
  restart: { targets: ['api', 'postgres', 'redis', 'clickhouse'] },
} as const satisfies Record<string, { readonly targets: readonly Target[]; readonly ms?: number }>

export type FaultClass = keyof typeof CLASSES

export interface Fault {
  readonly kind: FaultClass
  readonly at: FaultPoint
  /** How long it lasts, or by how much the clock jumps, in milliseconds. */
  readonly ms?: number
}

export interface Plan {
  readonly suite: string
  /** None: only to see whether the operator itself is broken. */
  readonly fault?: Fault
  /** Of the sampling that chose it. */
  readonly seed: number
}

/** These touch a server for everybody: no other plan may run at the time. */
export function isExclusive({ fault }: Plan): boolean {
  return fault?.kind === 'restart'
}

/** `crash-before at postgres DROP SCHEMA … #1`. */
export function titleOf({ fault }: Plan): string {
  return fault ? `${fault.kind} at ${fault.at.target} ${fault.at.key} #${fault.at.nth}` : 'no fault'
}

export type Struck = Plan & { readonly fault: Fault }

export interface Point extends FaultPoint {
  readonly suite: string
}

/** Every plan there is over these points, in a fixed order. */
export function allPlans(points: readonly Point[], seed: number): readonly Struck[] {
  return (Object.keys(CLASSES) as FaultClass[]).flatMap((kind) => {
    const { targets, ...rest } = CLASSES[kind] as { targets: readonly Target[]; ms?: number }
    return points
      .filter(({ target }) => targets.includes(target))
      .map(({ suite, ...at }) => ({ suite, fault: { kind, at, ...rest }, seed }))
  })
}

/**
 * `count` of the plans, drawn by `seed` so that every class gets its share and, within it, every suite and server: the
 * crash classes count double, because every write is a different crash.
 */
export function samplePlans(plans: readonly Struck[], count: number, seed: number): readonly Struck[] {
  const random = randomFrom(seed)
  const strata = Map.groupBy(
    plans,
    (plan) => `${plan.fault.kind} ${hashOf(titleOf(plan) + plan.suite) % sharesOf(plan)}`,
  )
  const piles = [...strata.values()].map((pile) => interleaved(shuffled(pile, random)))
  return takeTurns(piles).slice(0, count)
}

function sharesOf({ fault: { kind } }: Struck): number {
  return kind.startsWith('crash') || kind === 'lost-reply' ? 2 : 1
}

/** The first of each pile, then the second of each, and so on. */
function takeTurns<T>(piles: readonly (readonly T[])[]): readonly T[] {
  const longest = Math.max(0, ...piles.map((pile) => pile.length))
  return Array.from({ length: longest }, (_, round) => piles.flatMap((pile) => pile.slice(round, round + 1))).flat()
}

/** Takes turns between servers and suites, so that a short sample has seen them all. */
function interleaved(plans: readonly Struck[]): readonly Struck[] {
  return takeTurns([...Map.groupBy(plans, (plan) => `${plan.fault.at.target} ${plan.suite}`).values()])
}

function shuffled<T>(list: readonly T[], random: () => number): readonly T[] {
  return list
    .map((item) => ({ item, order: random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item)
}

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function hashOf(text: string): number {
  let hash = 2_166_136_261
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 16_777_619) >>> 0
  return hash
}
