import { expect, test } from 'vitest'
import { parseHeader } from './header.ts'

test('a file without a header runs in a transaction', () => {
  expect(parseHeader('SELECT 1;')).toEqual({ header: { transaction: true }, problems: [] })
  expect(parseHeader('')).toEqual({ header: { transaction: true }, problems: [] })
})

test('the header is read from the comment lines at the top, among remarks and blank lines', () => {
  const body =
    '-- Makes room for totals.\r\n\n-- tx: none\r\n--phase:  contract \n-- requires: 00012\nSELECT 1;\n-- phase: expand'
  expect(parseHeader(body)).toEqual({
    header: { transaction: false, phase: 'contract', requires: '12' },
    problems: [],
  })
})

test('a remark with a colon after several words, or an address, is no key', () => {
  const body =
    '-- A shared table: rows of all\n-- https://example.com/why\n-- lint:ignore-file money-type old\nSELECT 1'
  expect(parseHeader(body).problems).toEqual([])
})

test.each([
  ['-- tx: off', 1, 'tx: must be none'],
  ['-- phase: later', 1, 'phase: must be one of expand, backfill, contract, and is "later"'],
  ['SELECT 1', undefined, undefined],
  ['-- phase:', 1, 'phase: must be one of expand, backfill, contract, and is ""'],
  ['-- requires: first', 1, 'requires: must be the number'],
  ['\n-- phse: expand', 2, '"phse:" is no key of a header: known are tx, phase, requires'],
  ['-- constructor: x', 1, '"constructor:" is no key'],
  ['-- tx: none\n-- tx: none', 2, 'tx: is said twice'],
  ['-- phase: \u001b[31m', 1, 'is "\\u{1b}[31m"'],
])('of %j it is told what cannot be used, and on which line', (body, line, message) => {
  const { problems } = parseHeader(body)
  expect(problems).toEqual(line === undefined ? [] : [{ line, message: expect.stringContaining(message ?? '') }])
})
