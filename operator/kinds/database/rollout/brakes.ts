import type { Database } from '@tenantry/crds/database.ts'
import { DEFAULT_ROLLOUT } from '@tenantry/crds/schema.ts'
import { isOverBudget } from './tally.ts'
import { standingOf, type Unit } from './unit.ts'

interface Failures {
  readonly digest: string | undefined
  readonly units: Set<string>
}

/**
 * Who failed in each rollout, known at once: the Database's own look comes up to a second later, and in that time a wave would go on
 * past its budget. After a restart it is what the statuses say.
 */
export class Brakes {
  readonly #failures = new Map<string, Failures>()

  /** Whether so many failed that nobody new may begin. `units` are asked for once in each rollout. */
  areOn(database: Database, units: () => readonly Unit[]): boolean {
    const { spec, status } = database
    const { maxFailures } = spec.schema?.rollout ?? DEFAULT_ROLLOUT
    const failed = this.#of(database, units).size
    return failed > 0 && isOverBudget(maxFailures, { failed, total: status?.rollout?.counts?.total ?? 0 })
  }

  /** What came of a unit, about the files of `digest`. */
  note(database: Database, unit: { readonly key: string; readonly failed: boolean; readonly digest?: string }): void {
    const known = this.#failures.get(keyOf(database))
    if (!known || known.digest !== unit.digest) return
    if (unit.failed) known.units.add(unit.key)
    else known.units.delete(unit.key)
  }

  /** A tenant is gone. */
  forgetUnit(key: string): void {
    for (const { units } of this.#failures.values()) units.delete(key)
  }

  /** A Database is gone. */
  forget(database: string): void {
    this.#failures.delete(database)
  }

  #of(database: Database, units: () => readonly Unit[]): ReadonlySet<string> {
    const key = keyOf(database)
    const digest = database.status?.rollout?.digest
    const known = this.#failures.get(key)
    if (known && known.digest === digest) return known.units
    const failed = units().filter((unit) => standingOf(unit, digest) === 'failed')
    const made = new Set(failed.map((unit) => unit.key))
    this.#failures.set(key, { digest, units: made })
    return made
  }
}

function keyOf({ metadata: { namespace, name } }: Database): string {
  return `${namespace}/${name}`
}
