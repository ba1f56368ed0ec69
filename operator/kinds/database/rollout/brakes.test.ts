import type { Database } from '@tenantry/crds/database.ts'
import { expect, test } from 'vitest'
import { Brakes } from './brakes.ts'
import { unitOf } from './testing/fleet.ts'

function databaseWith(digest: string, maxFailures = '1'): Database {
  const schema = { sources: [], rollout: { maxFailures } }
  const rollout = { digest, counts: { total: 10 } }
  return { metadata: { namespace: 'n', name: 'd' }, spec: { schema }, status: { rollout } } as unknown as Database
}

const failed = (key: string, digest = 'a') => ({ key, failed: true, digest })

test('the brakes are on as soon as more failed than may, and off when they are mended or gone', () => {
  const brakes = new Brakes()
  const database = databaseWith('a')
  expect(brakes.areOn(database, () => [])).toBe(false)
  brakes.note(database, failed('n/1'))
  brakes.note(database, failed('n/1'))
  expect(brakes.areOn(database, () => [])).toBe(false)
  brakes.note(database, failed('n/2'))
  expect(brakes.areOn(database, () => [])).toBe(true)
  expect(brakes.areOn(databaseWith('a', '20%'), () => [])).toBe(false)
  brakes.note(database, { ...failed('n/2'), failed: false })
  expect(brakes.areOn(database, () => [])).toBe(false)
  brakes.note(database, failed('n/3'))
  brakes.forgetUnit('n/3')
  expect(brakes.areOn(database, () => [])).toBe(false)
})

test('after a restart the brakes know what the statuses say, and failures of other files count for nothing', () => {
  const units = ['n/1', 'n/2', 'n/3'].map((key) => unitOf(key, { state: 'Failed', digest: 'a' }))
  const brakes = new Brakes()
  expect(brakes.areOn(databaseWith('a'), () => units)).toBe(true)
  expect(brakes.areOn(databaseWith('b'), () => units)).toBe(false)
  brakes.note(databaseWith('b'), failed('n/1', 'a'))
  brakes.note(databaseWith('b'), failed('n/2', 'a'))
  expect(brakes.areOn(databaseWith('b'), () => units)).toBe(false)
})
