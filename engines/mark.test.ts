import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeMark, encodeMark, sameOwner } from './mark.ts'
import type { Owner } from './model.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 60 })
const owner: fc.Arbitrary<Owner> = fc.record({
  installation: text,
  kind: fc.constantFrom('Tenant', 'Database'),
  namespace: text,
  name: text,
  uid: text,
})

describe('a mark', () => {
  test('reads back as it was written, hostile names included', () => {
    fc.assert(
      fc.property(owner, fc.dictionary(text, text), (who, facts) => {
        expect(decodeMark(encodeMark(who, facts))).toEqual({ ...who, facts })
      }),
    )
  })

  test('does not depend on the order of its facts', () => {
    const who: Owner = { installation: 'i', kind: 'Tenant', namespace: 'n', name: 'a', uid: 'u' }
    expect(encodeMark(who, { b: '2', a: '1' })).toBe(encodeMark(who, { a: '1', b: '2' }))
  })

  test.each([
    null,
    undefined,
    '',
    'a comment of a person',
    'tenantry:',
    'tenantry:{"name":"x"}',
    'tenantry:[]',
    'tenantry:null',
  ])('is not seen in %j', (comment) => {
    expect(decodeMark(comment)).toBeUndefined()
  })

  test('is the same owner with another uid, and another with any other difference', () => {
    const who: Owner = { installation: 'i', kind: 'Tenant', namespace: 'n', name: 'a', uid: 'u' }
    expect(sameOwner(who, { ...who, uid: 'v' })).toBe(true)
    for (const other of [{ installation: 'j' }, { kind: 'Database' as const }, { namespace: 'm' }, { name: 'b' }]) {
      expect(sameOwner(who, { ...who, ...other })).toBe(false)
    }
  })
})
