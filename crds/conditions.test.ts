import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CONDITION_TYPES, type Condition, findCondition, removeCondition, setCondition } from './conditions.ts'

const NOW = new Date('2026-01-02T03:04:05.678Z')
const LATER = new Date('2026-01-02T04:00:00Z')
const ready = { type: 'Ready', status: 'True', reason: 'Verified', message: 'All is there.' } as const
const list = setCondition([], ready, NOW, 1)

describe('setCondition', () => {
  test('adds a finding with the time in whole seconds and the generation', () => {
    expect(list).toEqual([{ ...ready, lastTransitionTime: '2026-01-02T03:04:05Z', observedGeneration: 1 }])
  })

  test('returns the very same array when nothing differs', () => {
    expect(setCondition(list, ready, LATER, 1)).toBe(list)
  })

  test('keeps the time of the transition when only reason, message or generation change', () => {
    const next = setCondition(list, { ...ready, reason: 'Repaired', message: 'Put back.' }, LATER, 2)
    expect(next).toEqual([
      {
        ...ready,
        reason: 'Repaired',
        message: 'Put back.',
        lastTransitionTime: '2026-01-02T03:04:05Z',
        observedGeneration: 2,
      },
    ])
  })

  test('moves the time of the transition when the status flips', () => {
    const next = setCondition(list, { ...ready, status: 'False', reason: 'Unreachable' }, LATER, 1)
    expect(next[0]?.lastTransitionTime).toBe('2026-01-02T04:00:00Z')
  })

  test('leaves the others where they are, and its argument unchanged', () => {
    const before = structuredClone(list)
    const two = setCondition(list, { ...ready, type: 'Isolated' }, LATER, 1)
    const flipped = setCondition(two, { ...ready, status: 'False' }, LATER, 1)
    expect(flipped.map(({ type }) => type)).toEqual(['Ready', 'Isolated'])
    expect(flipped[1]).toBe(two[1])
    expect(list).toEqual(before)
  })

  test('cuts a message that the API server would refuse, and is still quiet the second time', () => {
    const long = { ...ready, message: 'é'.repeat(5000) }
    const once = setCondition([], long, NOW, 1)
    expect(once[0]?.message).toHaveLength(1024)
    expect(setCondition(once, long, LATER, 1)).toBe(once)
  })

  test('keeps one entry for each type, and repeating the last finding changes nothing, in any order of findings', () => {
    const finding = fc.record({
      type: fc.constantFrom(...CONDITION_TYPES),
      status: fc.constantFrom('True', 'False', 'Unknown'),
      reason: fc.constantFrom('A', 'B'),
      message: fc.constantFrom('', 'm'),
    })
    fc.assert(
      fc.property(fc.array(finding, { minLength: 1 }), (findings) => {
        const result = findings.reduce<readonly Condition[]>((all, next) => setCondition(all, next, NOW, 1), [])
        const types = result.map(({ type }) => type)
        expect(new Set(types).size).toBe(types.length)
        expect(findings.slice(-1).reduce((all, next) => setCondition(all, next, LATER, 1), result)).toBe(result)
      }),
    )
  })
})

describe('removeCondition', () => {
  test('takes one type out and returns the very same array when it is not there', () => {
    expect(removeCondition(list, 'Ready')).toEqual([])
    expect(removeCondition(list, 'Stalled')).toBe(list)
  })
})

test('findCondition copes with a status that has no conditions yet', () => {
  expect(findCondition(undefined, 'Ready')).toBeUndefined()
  expect(findCondition(list, 'Ready')?.reason).toBe('Verified')
})
