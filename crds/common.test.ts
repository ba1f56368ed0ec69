import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clip, duration, interval, parseDuration, parseQuantity, quantity } from './common.ts'

describe('a duration', () => {
  test.each([
    ['90s', 90_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1m5ms', 60_005],
    ['7d', 604_800_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['720h', 2_592_000_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test.each(['', '5', 's', '-5s', '1.5h', '5 m', '5M', '1m1h', '5s5s', '5s\n', '5m30', '٥s', 'Infinitys'])(
    'refuses %j with a message that shows how to write it',
    (text) => {
      expect(() => parseDuration(text)).toThrow(
        expect.objectContaining({ code: 'InvalidSpec', message: expect.stringContaining('5m') }),
      )
    },
  )

  test('that the API server accepts can be read, is above zero and fits a timer', () => {
    const part = (digits: number, unit: string) =>
      fc.oneof(
        fc.constant(''),
        fc.integer({ min: 1, max: 10 ** digits - 1 }).map((n) => `${n}${unit}`),
      )
    const text = fc.tuple(part(2, 'h'), part(4, 'm'), part(5, 's'), part(6, 'ms')).map((parts) => parts.join(''))
    fc.assert(
      fc.property(
        text.filter((t) => t !== ''),
        (t) => {
          expect(duration.safeParse(t).success).toBe(true)
          expect(parseDuration(t)).toBeGreaterThan(0)
          expect(parseDuration(t)).toBeLessThan(2 ** 31)
        },
      ),
    )
  })

  test('accepts nothing that cannot be read, whatever is typed', () => {
    const typed = fc.string({ unit: fc.constantFrom(...'0159dhms. -'), maxLength: 12 })
    fc.assert(
      fc.property(typed, (t) => {
        if (duration.safeParse(t).success) expect(parseDuration(t)).toBeGreaterThan(0)
        if (interval.safeParse(t).success) expect(parseDuration(t)).toBeGreaterThanOrEqual(1000)
      }),
    )
  })

  test('of zero is refused before it reaches a server where it would mean no limit', () => {
    expect(['0s', '00h', '0m5s'].map((t) => duration.safeParse(t).success)).toEqual([false, false, false])
    expect(interval.safeParse('500ms').success).toBe(false)
  })
})

describe('a quantity', () => {
  test.each([
    ['1024', 1024],
    ['64Mi', 67_108_864],
    ['1.5Gi', 1_610_612_736],
    ['200G', 200_000_000_000],
    ['1.001k', 1001],
    ['1.001Ki', 1026],
    ['3Ti', 3_298_534_883_328],
    ['0', 0],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseQuantity(text)).toBe(bytes)
  })

  test.each(['', 'Mi', '-1', '1e3', '1,5Gi', '1 Gi', '1gi', '1GiB', '1.', '.5Gi', '1.2345Gi', '1Gi\n'])(
    'refuses %j with a message that shows how to write it',
    (text) => {
      expect(() => parseQuantity(text)).toThrow(
        expect.objectContaining({ code: 'InvalidSpec', message: expect.stringContaining('64Mi') }),
      )
    },
  )

  test('that the API server accepts can be read and is a whole number of bytes above zero', () => {
    const typed = fc.string({ unit: fc.constantFrom(...'019.kMGTi'), maxLength: 10 })
    const likely = fc
      .tuple(
        fc.integer({ min: 1, max: 999_999 }),
        fc.constantFrom('', '.5', '.125'),
        fc.constantFrom('k', 'M', 'Gi', 'Ti'),
      )
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(typed, likely), (t) => {
        if (!quantity.safeParse(t).success) return
        expect(Number.isInteger(parseQuantity(t))).toBe(true)
        expect(parseQuantity(t)).toBeGreaterThan(0)
      }),
    )
    expect(quantity.safeParse('0Gi').success).toBe(false)
  })

  test('grows with its number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_998 }), fc.constantFrom('k', 'Mi', 'Ti'), (n, unit) => {
        expect(parseQuantity(`${n + 1}${unit}`)).toBeGreaterThan(parseQuantity(`${n}${unit}`))
      }),
    )
  })
})

describe('text for a status', () => {
  test('stays as it is while it fits', () => {
    expect(clip('été', 3)).toBe('été')
  })

  test('is cut by characters, never within one', () => {
    expect(clip('😀😀😀😀', 3)).toBe('😀😀…')
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.integer({ min: 1, max: 20 }), (text, max) => {
        expect(Array.from(clip(text, max)).length).toBeLessThanOrEqual(max)
        expect(clip(text, max).isWellFormed() || !text.isWellFormed()).toBe(true)
      }),
    )
  })
})
