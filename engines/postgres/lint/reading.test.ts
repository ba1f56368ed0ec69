import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { commentsBetween } from './comments.ts'
import { lint } from './lint.ts'
import { parseSql, scanSql } from './parser.ts'
import { byteOfCharacter, positionsOf } from './positions.ts'

/** Pieces of which files with comments, strings and names of all sorts are made. */
const trivia = fc.constantFrom(
  ' ',
  '\n',
  '\t',
  ';',
  '-- a\n',
  "-- it's $$\n",
  '--é😀\n',
  '/* b */',
  '/* \' /* " */ -- */',
  '--\r\n',
)
const literal = fc.constantFrom(
  "'a'",
  "'-- lint:ignore x'",
  "'it''s'",
  '$$ -- c\n; $$',
  '$é$ /* $é$',
  '"a""-- b"',
  "E'\\''",
  '1',
)
const pieces = fc.array(fc.tuple(fc.array(trivia), fc.array(literal, { minLength: 1, maxLength: 3 })), { maxLength: 6 })

describe('between two statements', () => {
  test('are exactly the comments that the scanner of Postgres finds there, whatever stands around them', async () => {
    await fc.assert(
      fc.asyncProperty(pieces, async (parts) => {
        const text = parts.map(([before, values]) => `${before.join('')} SELECT ${values.join(', ')} ;`).join('')
        const bytes = Buffer.from(text)
        const { value: statements = [] } = await parseSql(text)
        const { value: tokens = [] } = await scanSql(text)
        const within = (at: number) => statements.some(({ start, end }) => at >= start && at < end)
        const gaps = [...statements.map(({ start }) => start), bytes.length]
        const found = gaps.flatMap((to, i) => commentsBetween(bytes, statements[i - 1]?.end ?? 0, to))
        const expected = tokens.filter(({ tokenName, start }) => tokenName.endsWith('COMMENT') && !within(start))
        expect(found.map(({ start, text: comment }) => [start, comment])).toEqual(
          expected.map(({ start, text: comment }) => [start, comment]),
        )
      }),
      { numRuns: 200 },
    )
  })
})

describe('a place', () => {
  test('is the line and the character, of whatever characters the text is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), (before, after) => {
        const bytes = Buffer.from(`${before.toWellFormed()}${after.toWellFormed()}`)
        const lines = before.toWellFormed().split('\n')
        const offset = Buffer.byteLength(before.toWellFormed())
        const place = { line: lines.length, column: [...(lines.at(-1) ?? '')].length + 1 }
        const positions = positionsOf(bytes)
        expect(positions(offset)).toEqual(place)
        positions(bytes.length)
        expect(positions(offset)).toEqual(place)
        expect(byteOfCharacter(bytes, [...before.toWellFormed()].length)).toBe(offset)
      }),
    )
  })

  test('is right behind text that is not ASCII, for findings and for syntax errors', async () => {
    const findings = (await lint({ name: 'a.sql', body: 'SELECT \'é😀\n日本\'; DROP TABLE "ü";' })).findings
    expect(findings).toMatchObject([{ rule: 'drop-table', line: 2, column: 6 }])
    const broken = (await lint({ name: 'a.sql', body: "SELECT '\u00e9😀\n日本'; CREATE TABEL a" })).findings
    expect(broken).toMatchObject([{ rule: 'syntax-error', line: 2, column: 13 }])
  })
})

describe('a syntax error', () => {
  test.each([
    ['CREATE TABEL a', 1, 8, 'syntax error at or near "TABEL"; did you mean TABLE?'],
    ['SELECT 1;\nDELETE orders WHERE a', 2, 8, 'syntax error at or near "orders"; expected FROM'],
    ['UPDATE a b = 1', 1, 12, 'syntax error at or near "="; expected SET'],
    ['CREATE TABLE a (b int', 1, 22, 'syntax error at end of input; expected ")", ","'],
    ["SELECT 'abc", 1, 8, `unterminated quoted string at or near "'abc"`],
    ['\uFEFFSELECT 1', 1, 1, 'syntax error at or near "\\u{feff}SELECT"'],
  ])('in %j is told with its place and what was expected', async (body, line, column, message) => {
    const { findings } = await lint({ name: 'a.sql', body })
    expect(findings).toMatchObject([{ rule: 'syntax-error', line, column, message: expect.stringContaining(message) }])
  })
})

describe('the parser', () => {
  test('reads on after files that were nested too deeply for it', async () => {
    for (const body of [
      `SELECT 1${'+1'.repeat(20_000)}`,
      `SELECT ${'('.repeat(50_000)}1`,
      `SELECT ${'NOT '.repeat(50_000)}a`,
    ]) {
      expect((await lint({ name: 'a.sql', body })).findings).toMatchObject([{ rule: 'unreadable-file' }])
      expect((await lint({ name: 'a.sql', body: 'DROP TABLE a' })).findings).toMatchObject([{ rule: 'drop-table' }])
    }
  })

  test('refuses a file above the limit, and takes one at it', async () => {
    const limit = 5 * 1024 * 1024
    const insert = (size: number) => `INSERT INTO a VALUES ('${'é'.repeat((size - 26) / 2)}');`
    expect(Buffer.byteLength(insert(limit))).toBe(limit)
    expect((await lint({ name: 'a.sql', body: insert(limit) })).findings).toEqual([])
    const message = `it has ${limit + 2} bytes, and at most ${limit} are read`
    expect((await lint({ name: 'a.sql', body: insert(limit + 2) })).findings).toMatchObject([{ message }])
  })
})
