import { expect, test } from 'vitest'
import { merged } from './schema.ts'

const at = (hour: number) => new Date(Date.UTC(2026, 0, 1, hour))
const applied = (text: string, hours: readonly [number, number], live: number, by = 'postgres') => ({
  version: text.slice(0, -1),
  name: 'tables.sql',
  checksum: text,
  firstAt: at(hours[0]),
  lastAt: at(hours[1]),
  live,
  retired: 1,
  failures: 2,
  by: [by],
})

test('the histories of shards become one, in the order of versions, with different texts told apart', () => {
  const files = merged([
    applied('10a', [5, 6], 3),
    applied('9b', [2, 3], 3),
    applied('9c', [1, 1], 1),
    applied('9b', [1, 4], 2, 'admin'),
  ])
  expect(files.map(({ checksum }) => checksum)).toEqual(['9b', '9c', '10a'])
  expect(files[0]).toEqual({ ...applied('9b', [1, 4], 5), retired: 2, failures: 4, by: ['admin', 'postgres'] })
})

test('a text that was never applied has no time, and comes last', () => {
  const failed = { ...applied('9b', [1, 1], 0), firstAt: null, lastAt: null, by: [] }
  expect(
    merged([failed, applied('9a', [1, 2], 1), failed]).map(({ checksum, firstAt }) => [checksum, firstAt]),
  ).toEqual([
    ['9a', at(1)],
    ['9b', null],
  ])
})
