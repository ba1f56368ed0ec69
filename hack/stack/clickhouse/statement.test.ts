import { expect, test } from 'vitest'
import { inspect, quoteIdentifier, quoteLiteral } from './statement.ts'

test.each([
  ['SELECT 1', false, undefined],
  ['SELECT 1 FORMAT JSONEachRow', false, 'JSONEachRow'],
  ['select 1 format CSV settings max_threads = 1', false, 'CSV'],
  ['SELECT 1 SETTINGS max_threads = 1 FORMAT CSV;', false, 'CSV'],
  ['SELECT format FROM t', false, undefined],
  ["SELECT 'FORMAT CSV'", false, undefined],
  ['SELECT 1 -- FORMAT CSV', false, undefined],
  ['/* first */ INSERT INTO t FORMAT JSONEachRow {"a":";"};{"b":2}', true, 'JSONEachRow'],
  ["INSERT INTO t VALUES (';'); (1)", true, undefined],
  ['INSERT INTO t SELECT 1;', true, undefined],
])('sees in %s whether it inserts (%s) and in which format (%s)', (sql, isInsert, format) => {
  expect(inspect(sql)).toEqual({ isInsert, format })
})

test.each(['SELECT 1; SELECT 2', "SELECT ';'; x", 'SELECT 1;;', 'INSERT INTO t SELECT 1; DROP TABLE t'])(
  'refuses the second statement of %s',
  (sql) => {
    expect(() => inspect(sql)).toThrow('Multi-statements are not allowed')
  },
)

test('reads a literal of megabytes', () => {
  expect(inspect(`SELECT '${"it''s \\' ".repeat(1_000_000)}'`)).toEqual({ isInsert: false, format: undefined })
})

test('quotes whatever comes', () => {
  expect(quoteLiteral("a'b\\c")).toBe("'a\\'b\\\\c'")
  expect(quoteIdentifier('a`b\\c')).toBe('`a\\`b\\\\c`')
})
