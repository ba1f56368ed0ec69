import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { coarseLatency, coarseSize } from './coarse.ts'
import { parseQuantity } from './common.ts'

describe('a latency in a status', () => {
  test('is a class with a round border', () => {
    expect([0, 9.9, 10, 99, 100, 5000, 60_000].map((ms) => coarseLatency(ms))).toEqual([
      '<10ms',
      '<10ms',
      '<100ms',
      '<100ms',
      '<1s',
      '<10s',
      '>10s',
    ])
  })

  test('stays while the value wanders around a border', () => {
    expect([12, 39, 3, 0.1].map((ms) => coarseLatency(ms, '<10ms'))).toEqual(['<10ms', '<10ms', '<10ms', '<10ms'])
    expect([2.5, 399].map((ms) => coarseLatency(ms, '<100ms'))).toEqual(['<100ms', '<100ms'])
    expect(coarseLatency(90_000, '>10s')).toBe('>10s')
  })

  test('changes once the value is well beyond the border', () => {
    expect(coarseLatency(40, '<10ms')).toBe('<100ms')
    expect(coarseLatency(2, '<100ms')).toBe('<10ms')
    expect(coarseLatency(3, '>10s')).toBe('<10ms')
  })

  test('replaces what it did not write itself', () => {
    expect(coarseLatency(3, 'fast')).toBe('<10ms')
  })
})

describe('a size in a status', () => {
  test('has two digits and a binary unit', () => {
    expect([0, 1, 512, 1024, 8.25 * 2 ** 20, 43.4 * 2 ** 30, 2 ** 50].map((bytes) => coarseSize(bytes))).toEqual([
      '0',
      '1',
      '512',
      '1Ki',
      '8.3Mi',
      '43Gi',
      '1024Ti',
    ])
  })

  test('stays while it is within a fifth, and then moves', () => {
    expect(coarseSize(119, '100')).toBe('100')
    expect(coarseSize(81, '100')).toBe('100')
    expect(coarseSize(121, '100')).toBe('121')
    expect(coarseSize(2048, 'huge')).toBe('2Ki')
  })

  test('is never wrong by more than a fifth and settles at once, for any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 52 }), fc.integer({ min: 0, max: 2 ** 52 }), (before, now) => {
        const shown = coarseSize(now, coarseSize(before))
        expect(coarseSize(now, shown)).toBe(shown)
        expect(Math.abs(now - parseQuantity(shown))).toBeLessThanOrEqual(parseQuantity(shown) * 0.2)
      }),
    )
  })
})
