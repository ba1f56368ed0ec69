import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareVersions } from './versions.ts'

test('orders versions as the numbers they are', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 19n }), fc.bigInt({ min: 0n, max: 10n ** 19n }), (a, b) => {
      expect(Math.sign(compareVersions(String(a), String(b)))).toBe(a < b ? -1 : Number(a > b))
    }),
  )
})
