import type { RolloutSpec, RolloutStatus } from '@tenantry/crds/schema.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isReached } from './reach.ts'
import { isOverBudget, tallyOf } from './tally.ts'
import { bring, type Fleet, fileOf, specOf, step, unitOf } from './testing/fleet.ts'

const spec: fc.Arbitrary<Partial<RolloutSpec>> = fc.record({
  canary: fc.option(fc.record({ percent: fc.integer({ min: 1, max: 100 }), soak: fc.constantFrom('1s', '1m') }), {
    nil: undefined,
  }),
  waves: fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { maxLength: 4 }),
  soak: fc.constantFrom('1s', '2m'),
  maxFailures: fc.constantFrom('0', '2', '20%', '100%'),
})

/** What happens between two looks. */
const happening = fc.record({
  afterMs: fc.constantFrom(0, 500, 90_000),
  state: fc.constantFrom<RolloutSpec['state']>('Running', 'Running', 'Running', 'Paused', 'Aborted'),
  failing: fc.integer({ min: 0, max: 3 }),
  killed: fc.boolean(),
})

const units = fc
  .array(fc.boolean(), { minLength: 1, maxLength: 20 })
  .map((suspended) => suspended.map((one, i) => unitOf(`n/t${i}`, { suspended: one && i % 3 === 0 })))

const FILES = [fileOf('1'), fileOf('2')]

test('a rollout never goes back, never opens a wave over its budget, and is the same when a step is taken twice', () => {
  fc.assert(
    fc.property(spec, units, fc.array(happening, { maxLength: 30 }), (rules, tenants, happenings) => {
      let fleet: Fleet = { files: FILES, units: tenants, spec: rules, now: 0 }
      let last: RolloutStatus | undefined
      for (const { afterMs, state, failing, killed } of happenings) {
        fleet = { ...fleet, now: (fleet.now ?? 0) + afterMs, spec: { ...rules, state } }
        const { rollout } = step(fleet)
        expect(step(fleet).rollout).toEqual(rollout)
        check(fleet, last, rollout)
        const taken = killed && last ? last : rollout
        fleet = { ...fleet, previous: taken, units: bring(fleet, taken, (key) => Number(key.slice(3)) % 4 >= failing) }
        last = taken
      }
    }),
    { numRuns: 300 },
  )
})

function check(fleet: Fleet, last: RolloutStatus | undefined, now: RolloutStatus): void {
  if (!last) return
  expect(now.run).toBe(last.run)
  expect(now.wave).toBeGreaterThanOrEqual(last.wave ?? 0)
  expect(now.cut).toBeGreaterThanOrEqual(last.cut ?? 0)
  if (last.state === 'Aborted') expect(now.state).toBe('Aborted')
  if (last.state !== 'Done' && mustStay(fleet, last)) expect([now.wave, now.cut]).toEqual([last.wave, last.cut])
  if (['Halted', 'Paused', 'Aborted'].includes(now.state ?? '')) expect(newcomers(fleet, now)).toEqual([])
}

function mustStay(fleet: Fleet, last: RolloutStatus): boolean {
  const { state, maxFailures, canary } = specOf(fleet)
  return state !== 'Running' || isOverBudget(maxFailures, tallyOf(last, canary, fleet.units))
}

/** Those who would get the files now and have not had them. */
function newcomers(fleet: Fleet, now: RolloutStatus): readonly string[] {
  const reached = fleet.units.filter((unit) => isReached(now, specOf(fleet).canary, unit))
  return reached.filter(({ state }) => state === undefined).map(({ key }) => key)
}

test('whatever happened, a rollout that may run and in which nothing fails comes to everybody who is awake', () => {
  fc.assert(
    fc.property(spec, units, (rules, tenants) => {
      let fleet: Fleet = { files: FILES, units: tenants, spec: rules, now: 0 }
      for (let i = 0; i < 40; i++) {
        const { rollout } = step(fleet)
        fleet = { ...fleet, previous: rollout, units: bring(fleet, rollout), now: (fleet.now ?? 0) + 200_000 }
      }
      expect(fleet.previous?.state).toBe('Done')
      expect(fleet.units.every(({ suspended, state }) => suspended || state === 'AtTarget')).toBe(true)
    }),
  )
})
