/** What fault-free runs of a suite end in, and at which writes it can be broken. */
import type { Digest } from './digest/digest.ts'
import { FOLLOWS } from './gate.ts'
import type { Point, Target } from './plan.ts'
import { writeReplay } from './replay.ts'
import { type Evidence, runSuite } from './run.ts'
import type { Slot } from './slot.ts'

export interface Reference {
  readonly digest: Digest
  /** Paths that differ between fault-free runs. */
  readonly masked: ReadonlySet<string>
  readonly counts: Readonly<Record<string, number>>
  /** Acts whose count differs between fault-free runs. */
  readonly loose: ReadonlySet<string>
  readonly points: readonly Point[]
}

/** A Database's status is written when it is new and when it is ready, and then whenever what it follows moves. */
const SURELY = 2

/** Runs the suite `times` times without a fault. Throws when one of them does not do what it should. */
export async function learn(
  slot: Slot,
  suite: string,
  { times, out }: { readonly times: number; readonly out: string },
): Promise<Reference> {
  const runs: Evidence[] = []
  for (let run = 0; run < times; run++) {
    const evidence = await runSuite(slot, { suite })
    if (evidence.findings.length > 0) {
      const file = writeReplay(out, { suite, seed: 0 }, evidence)
      throw new Error(`learn suite ${suite}: without any fault, ${evidence.findings.join('; ')}; see ${file}`)
    }
    runs.push(evidence)
  }
  return referenceOf(suite, runs)
}

function referenceOf(suite: string, runs: readonly Evidence[]): Reference {
  const counts = merged(runs.map((run) => run.counts))
  return {
    digest: runs.at(-1)?.digest ?? {},
    masked: new Set([...varying(runs.map((run) => run.digest)), ...chancy(runs)]),
    counts: Object.fromEntries([...counts].map(([act, list]) => [act, Math.max(...list)])),
    loose: varying(runs.map((run) => run.counts)),
    points: pointsOf(suite, runs),
  }
}

/** Writes that every run had, by name and number, and that do not depend on chance: at the others a plan might wait in vain. */
function pointsOf(suite: string, runs: readonly Evidence[]): readonly Point[] {
  const [first, ...others] = runs.map((run) => run.writes)
  const has = others.map((writes) => new Set(writes.map(({ target, key, nth }) => `${target} ${key} ${nth}`)))
  return (first ?? [])
    .filter(({ key, nth }) => nth <= SURELY || !FOLLOWS.test(key))
    .filter(({ target, key, nth }) => has.every((names) => names.has(`${target} ${key} ${nth}`)))
    .map(({ target, key, nth }) => ({ suite, target: target as Target, key, nth }))
}

/** Whether a Tenant that is deleted while it is made has come to its SQL files: both are right. */
function chancy(runs: readonly Evidence[]): readonly string[] {
  return runs.flatMap(({ digest }) => Object.keys(digest)).filter((path) => /ledger <stillborn/.test(path))
}

function varying<T>(maps: readonly Readonly<Record<string, T>>[]): ReadonlySet<string> {
  const keys = new Set(maps.flatMap((map) => Object.keys(map)))
  return new Set([...keys].filter((key) => maps.some((map) => map[key] !== maps[0]?.[key])))
}

function merged(maps: readonly Readonly<Record<string, number>>[]): ReadonlyMap<string, readonly number[]> {
  const result = new Map<string, number[]>()
  for (const [key, value] of maps.flatMap((map) => Object.entries(map)))
    result.set(key, [...(result.get(key) ?? []), value])
  return result
}
