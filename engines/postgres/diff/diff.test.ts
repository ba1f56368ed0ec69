import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Owner } from '../../model.ts'
import type { PgResource } from '../model.ts'
import type { FoundRole, PgSnapshot } from '../snapshot.ts'
import { statements } from '../statements.ts'
import { caseArb, damagedArb } from '../testing/arbitraries.ts'
import { imagineAll, snapshotOf } from '../testing/imagine.ts'
import type { PgChange } from './claim.ts'
import { diff } from './diff.ts'

const sceneArb = caseArb.chain((one) => damagedArb(one).map((found) => ({ ...one, found })))

/** Names of roles that somebody else has, or nobody. */
function strangers(owner: Owner, found: PgSnapshot): ReadonlySet<string> {
  const ours = ({ mark }: FoundRole): boolean => mark?.installation === owner.installation && mark.kind === owner.kind
  return new Set([...found.roles.values()].filter((role) => !ours(role)).map(({ name }) => name))
}

/** Wanted roles that a change touches or stands on. */
function rolesOf({ target }: PgChange, wanted: readonly PgResource[]): readonly string[] {
  const { spec } = target
  const names = 'rw' in spec ? [spec.owner, spec.rw, spec.ro] : target.kind === 'Role' ? [target.spec.name] : []
  return names.filter((name) => wanted.some(({ id }) => id === `role/${name}`))
}

describe('the difference between wanted and found', () => {
  test('is nothing when everything is as wanted', () => {
    fc.assert(
      fc.property(caseArb, ({ owner, wanted }) => {
        expect(diff(owner, wanted, snapshotOf(imagineAll(owner, wanted)))).toEqual([])
      }),
    )
  })

  test('does not depend on the order of the wanted list', () => {
    fc.assert(
      fc.property(
        sceneArb.chain((scene) =>
          fc
            .shuffledSubarray([...scene.wanted], { minLength: scene.wanted.length })
            .map((shuffled) => ({ ...scene, shuffled })),
        ),
        ({ owner, wanted, found, shuffled }) => {
          expect(diff(owner, shuffled, found)).toEqual(diff(owner, wanted, found))
        },
      ),
    )
  })

  test('never drops what is wanted, whatever is found, and destroys nothing', () => {
    fc.assert(
      fc.property(sceneArb, ({ owner, wanted, found }) => {
        const changes = diff(owner, wanted, found)
        const ids = new Set(wanted.map(({ id }) => id))
        expect(changes.filter(({ op, target }) => op === 'drop' && ids.has(target.id))).toEqual([])
        expect(changes.filter(({ risk }) => risk === 'destructive')).toEqual([])
      }),
    )
  })

  test('destroys data only by a change that is marked so', () => {
    fc.assert(
      fc.property(sceneArb, ({ owner, found }) => {
        for (const change of diff(owner, [], found)) {
          expect(change.op).toBe('drop')
          expect(change.risk === 'destructive').toBe(change.target.data)
        }
      }),
    )
  })

  test('drops nothing that is not its own', () => {
    fc.assert(
      fc.property(sceneArb, ({ owner, wanted, found }) => {
        const strange = strangers(owner, found)
        const roles = diff(owner, [], found).filter(({ target }) => target.kind === 'Role')
        expect(roles.flatMap((change) => rolesOf(change, wanted)).filter((name) => strange.has(name))).toEqual([])
      }),
    )
  })

  test('runs no change by itself that stands on what belongs to somebody else', () => {
    fc.assert(
      fc.property(sceneArb, ({ owner, wanted, found }) => {
        const strange = strangers(owner, found)
        const free = diff(owner, wanted, found).filter(({ blocked }) => !blocked)
        expect(free.flatMap((change) => rolesOf(change, wanted)).filter((name) => strange.has(name))).toEqual([])
      }),
    )
  })

  test('shows statements for everything, and never a password', () => {
    fc.assert(
      fc.property(sceneArb, ({ owner, wanted, found }) => {
        for (const change of [...diff(owner, wanted, found), ...diff(owner, [], found)]) {
          const shown = statements(change)
          expect(shown.length).toBeGreaterThan(0)
          expect(shown.join('\n')).not.toContain('SCRAM-SHA-256$')
        }
      }),
    )
  })
})
