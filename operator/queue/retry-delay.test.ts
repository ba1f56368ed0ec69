import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRetryDelay } from './retry-delay.ts'

test('a retry waits between 5 ms and 5 minutes, longer after more failures, whatever chance says', () => {
  const chance = fc.double({ min: 0, max: 0.999, noNaN: true })
  fc.assert(
    fc.property(chance, fc.integer({ min: 0, max: 2_000 }), (random, failures) => {
      const delay = createRetryDelay({ random: () => random })
      expect(delay(failures)).toBeGreaterThanOrEqual(5)
      expect(delay(failures)).toBeLessThanOrEqual(300_000)
      expect(delay(failures + 1)).toBeGreaterThanOrEqual(delay(failures))
    }),
  )
})
