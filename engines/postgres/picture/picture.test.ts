import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { comparePictures, type Entry, ownerOf, pictureOf } from './picture.ts'
import { wordsFor } from './words.ts'

const ORDERS: readonly Entry[] = [
  ['table', 'orders', { kind: 'table' }],
  ['column', 'orders.total', { type: 'bigint', 'not null': 'yes', default: '0' }],
  ['constraint', 'orders.orders_pkey', { definition: 'PRIMARY KEY (id)' }],
  ['index', 'orders_placed', { table: 'orders', definition: 'CREATE INDEX …' }],
]

const told = (want: readonly Entry[], found: readonly Entry[]) =>
  comparePictures(pictureOf(want), pictureOf(found)).map(wordsFor)

describe('the differences of two pictures', () => {
  test('are none for equal ones, however their objects are ordered', () => {
    expect(told(ORDERS, ORDERS.toReversed())).toEqual([])
  })

  test('name a missing table without its parts, and an index by itself', () => {
    expect(told(ORDERS, [])).toEqual(['index orders_placed is missing', 'table orders is missing'])
  })

  test('name what no file makes', () => {
    const note: Entry = ['column', 'orders.note', { type: 'text' }]
    expect(told(ORDERS, [...ORDERS, note])).toEqual(['column orders.note is made by no SQL file'])
  })

  test('tell field by field what is and what should be', () => {
    const other = ORDERS.map(
      (one): Entry => (one[0] === 'column' ? ([...one.slice(0, 2), { type: 'text' }] as never) : one),
    )
    expect(told(ORDERS, other)).toEqual([
      'column orders.total differs: default is none, not 0; not null is none, not yes; type is text, not bigint',
    ])
  })

  test('tell neither literals nor bodies', () => {
    const want: readonly Entry[] = [
      ['column', 'a.b', { default: "'secret'::text" }],
      ['function', 'f()', { definition: 'CREATE FUNCTION … secret' }],
      ['constraint', 'a.c', { definition: `CHECK (("it's" <> E'se\\'cret'::text))` }],
    ]
    const found: readonly Entry[] = [
      ['column', 'a.b', { default: "'hush''secret'::text" }],
      ['function', 'f()', { definition: 'other secret' }],
      ['constraint', 'a.c', { definition: `CHECK (("it's" = 'secret'::text))` }],
    ]
    expect(told(want, found)).toEqual([
      "column a.b differs: default has another literal in '…'::text",
      `constraint a.c differs: definition is CHECK (("it's" = '…'::text)), not CHECK (("it's" <> '…'::text))`,
      'function f() differs: definition',
    ])
  })

  test('of any two pictures are turned round when these are', () => {
    const entry = fc.tuple(
      fc.constantFrom('table', 'column', 'index', 'view'),
      fc.constantFrom('a', 'b', 'a.b', '"a.b"', '"a.b".c'),
      fc.dictionary(fc.constantFrom('type', 'definition'), fc.string()),
    ) as fc.Arbitrary<Entry>
    fc.assert(
      fc.property(fc.array(entry), fc.array(entry), (a, b) => {
        const [left, right] = [pictureOf(a), pictureOf(b)]
        const states = (all: ReturnType<typeof comparePictures>) =>
          all.map(({ kind, name, state }) => [kind, name, state])
        const turned = states(comparePictures(right, left)).map(([kind, name, state]) => [
          kind,
          name,
          state === 'missing' ? 'extra' : state === 'extra' ? 'missing' : state,
        ])
        expect(states(comparePictures(left, right))).toEqual(turned)
        expect(comparePictures(left, left)).toEqual([])
      }),
    )
  })
})

test.each([
  ['orders.total', 'orders'],
  ['"a.b".c', '"a.b"'],
  ['"a""b"."c.d"', '"a""b"'],
  ['orders', 'orders'],
])('the table of %s is %s', (name, table) => {
  expect(ownerOf(name)).toBe(table)
})
