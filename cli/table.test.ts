import { expect, test } from 'vitest'
import { table, wrap } from './table.ts'

test('columns are as wide as their widest cell', () => {
  expect(
    table(
      ['TENANT', 'TIER'],
      [
        ['acme', 'oltp'],
        ['a-long-name', ''],
      ],
    ),
  ).toBe(['TENANT       TIER', 'acme         oltp', 'a-long-name'].join('\n'))
})

test('a line never passes the width: the widest cells are cut', () => {
  const text = table(['A', 'B', 'C'], [['x'.repeat(80), 'y'.repeat(60), 'z']], 40)
  const rows = [`A${' '.repeat(16)}  B${' '.repeat(17)}  C`, `${'x'.repeat(16)}…  ${'y'.repeat(17)}…  z`]
  expect(text).toBe(rows.join('\n'))
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBe(40)
})

test('a long text is broken at its spaces', () => {
  expect(wrap('one two three-and-a-half four', 9)).toBe('one two\nthree-and-a-half\nfour')
  expect(wrap('short')).toBe('short')
})
