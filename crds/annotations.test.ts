import { describe, expect, test } from 'vitest'
import { ANNOTATIONS, isSet, readPlacement, writePlacement } from './annotations.ts'

const stored = (text: string) => ({ [ANNOTATIONS.placement]: text })

describe('the stored placement', () => {
  test('is read back as it was written, and equal placements are equal strings', () => {
    const text = writePlacement({ main: 's0', cache: 'r1' })
    expect(readPlacement(stored(text))).toEqual({ main: 's0', cache: 'r1' })
    expect(writePlacement({ cache: 'r1', main: 's0' })).toBe(text)
  })

  test.each(['', 'null', '[]', '"s0"', '{"main":1}', '{"main":'])(
    'counts as absent when someone wrote %j over it',
    (text) => {
      expect(readPlacement(stored(text))).toBeUndefined()
    },
  )

  test('is absent without annotations', () => {
    expect(readPlacement(undefined)).toBeUndefined()
    expect(readPlacement({})).toBeUndefined()
  })
})

test('an annotation counts as set unless it is absent or false', () => {
  expect(isSet(undefined, ANNOTATIONS.paused)).toBe(false)
  expect(isSet({ [ANNOTATIONS.paused]: 'false' }, ANNOTATIONS.paused)).toBe(false)
  expect(isSet({ [ANNOTATIONS.paused]: 'true' }, ANNOTATIONS.paused)).toBe(true)
  expect(isSet({ [ANNOTATIONS.paused]: '' }, ANNOTATIONS.paused)).toBe(true)
})
