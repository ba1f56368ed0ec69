import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Candidate, place } from './placement.ts'

const load = (used: number, capacity: number | undefined) => ({ used, request: 1, capacity })

const shard = (name: string, part: Partial<Candidate> = {}): Candidate => ({
  name,
  tenants: 0,
  loads: [],
  ...part,
})

describe('place', () => {
  test('prefers the shard whose fullest dimension is emptiest', () => {
    const candidates = [
      shard('many-tables', { tenants: 1, loads: [load(1, 100), load(90, 100)] }),
      shard('half-full', { tenants: 50, loads: [load(50, 100), load(10, 100)] }),
    ]
    expect(place('platform/oltp', 'shop/acme', candidates)).toBe('half-full')
  })

  test('takes the shard with fewest tenants where no capacity is declared', () => {
    expect(place('p/d', 's/t', [shard('a', { tenants: 3 }), shard('b', { tenants: 2 })])).toBe('b')
  })

  test('never uses a shard that is closed or full, and says what to do when none is left', () => {
    const candidates = [
      shard('shut', { closed: { because: 'cordoned', waiting: false } }),
      shard('full', { tenants: 5, loads: [load(5, 5)] }),
    ]
    expect(() => place('p/d', 's/t', candidates)).toThrow(/shut is cordoned, full is full.*spec.replicas/)
    expect(() => place('p/d', 's/t', [])).toThrow(/it has none/)
  })

  test('says that waiting helps while a shard is only not ready yet', () => {
    const candidates = [shard('new', { closed: { because: 'not looked at yet', waiting: true } })]
    expect(() => place('p/d', 's/t', candidates)).toThrow(expect.objectContaining({ code: 'DatabaseNotReady' }))
  })

  test('does not depend on the order of the shards', () => {
    const arbitrary = fc.array(
      fc.record({ tenants: fc.nat(50), tables: fc.nat(50), limit: fc.option(fc.nat(60), { nil: undefined }) }),
      { minLength: 1, maxLength: 8 },
    )
    fc.assert(
      fc.property(arbitrary, (shapes) => {
        const candidates = [
          shard('spare'),
          ...shapes.map((s, i) => shard(`s${i}`, { tenants: s.tenants, loads: [load(s.tables, s.limit)] })),
        ]
        expect(place('p/d', 's/t', candidates.toReversed())).toBe(place('p/d', 's/t', candidates))
      }),
    )
  })

  test('spreads tenants evenly over equal shards', () => {
    const counts = new Map([...'abcd'].map((name) => [name, 0]))
    for (let n = 0; n < 400; n++) {
      const chosen = place(
        'p/d',
        `s/t${n}`,
        [...counts].map(([name, tenants]) => shard(name, { tenants })),
      )
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1)
    }
    expect([...counts.values()]).toEqual([100, 100, 100, 100])
  })
})
