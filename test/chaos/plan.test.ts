import { expect, test } from 'vitest'
import { allPlans, CLASSES, type FaultClass, type Point, samplePlans } from './plan.ts'

const TARGETS = ['api', 'postgres', 'redis', 'clickhouse'] as const
const POINTS: readonly Point[] = ['tenants', 'deletions', 'drift'].flatMap((suite) =>
  TARGETS.flatMap((target) =>
    Array.from({ length: 20 }, (_, index) => ({ suite, target, key: `write ${index}`, nth: 1 })),
  ),
)
const PLANS = allPlans(POINTS, 7)

test('the same seed draws the same plans, and another seed draws others', () => {
  expect(samplePlans(PLANS, 60, 7)).toEqual(samplePlans(PLANS, 60, 7))
  expect(samplePlans(PLANS, 60, 7)).not.toEqual(samplePlans(PLANS, 60, 8))
})

test('a short sample has every class, and a longer one every class at every server and in every suite', () => {
  const short = samplePlans(PLANS, 30, 7)
  expect(new Set(short.map(({ fault }) => fault.kind))).toEqual(new Set(Object.keys(CLASSES)))
  const strata = new Set(
    samplePlans(PLANS, 400, 7).map(({ suite, fault }) => `${suite} ${fault.kind} ${fault.at.target}`),
  )
  const wanted = (Object.keys(CLASSES) as FaultClass[]).flatMap((kind) =>
    ['tenants', 'deletions', 'drift'].flatMap((suite) =>
      CLASSES[kind].targets.map((target) => `${suite} ${kind} ${target}`),
    ),
  )
  expect(wanted.filter((stratum) => !strata.has(stratum))).toEqual([])
})

test('no plan is drawn twice', () => {
  const drawn = samplePlans(PLANS, 400, 7).map((plan) => JSON.stringify(plan))
  expect(new Set(drawn).size).toBe(400)
})
