import { expect, test } from 'vitest'
import { FakeClock } from '../queue/fake-clock.ts'
import { createTokenBuckets } from './token-buckets.ts'

const taken = (take: () => boolean, times: number): number => Array.from({ length: times }, take).filter(Boolean).length

test('a bucket gives its burst and then what flows in, each key its own', async () => {
  const clock = new FakeClock()
  const buckets = createTokenBuckets(clock, { burst: 25, refillMs: 300_000 })
  expect(taken(() => buckets.take('a'), 100)).toBe(25)
  expect(taken(() => buckets.take('b'), 100)).toBe(25)
  await clock.advance(299_999)
  expect(buckets.take('a')).toBe(false)
  await clock.advance(1)
  expect(taken(() => buckets.take('a'), 100)).toBe(1)
  await clock.advance(100 * 300_000)
  expect(taken(() => buckets.take('a'), 100)).toBe(25)
})
