import fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitStatements } from './split.ts'

test.each([
  ['', []],
  ['  ;;\n; ', []],
  ['-- only a comment; really', []],
  ['/* a; */ ; # b;\n;#! c;\n; // d;', []],
  ['SELECT 1', ['SELECT 1']],
  ['SELECT 1;SELECT 2;', ['SELECT 1', 'SELECT 2']],
  ["SELECT ';'; SELECT 'it''s;'; SELECT 'a\\';'", ["SELECT ';'", "SELECT 'it''s;'", "SELECT 'a\\';'"]],
  ["SELECT '\\\\'; SELECT 2", ["SELECT '\\\\'", 'SELECT 2']],
  ['SELECT 1 AS "a;""b"; SELECT 1 AS `c;``d`', ['SELECT 1 AS "a;""b"', 'SELECT 1 AS `c;``d`']],
  ['SELECT $x$ a; $y$ ; $x$; SELECT $$;$$', ['SELECT $x$ a; $y$ ; $x$', 'SELECT $$;$$']],
  ['SELECT a$b; SELECT c$d', ['SELECT a$b', 'SELECT c$d']],
  ['SELECT $tag; SELECT 2', ['SELECT $tag', 'SELECT 2']],
  ['SELECT ‘;’; SELECT 1 AS “;”', ['SELECT ‘;’', 'SELECT 1 AS “;”']],
  ['SELECT 4 / 2; SELECT 4 - 2; SELECT 1 #x', ['SELECT 4 / 2', 'SELECT 4 - 2', 'SELECT 1 #x']],
  ['SELECT 1 -- a;\n; SELECT 2', ['SELECT 1 -- a;', 'SELECT 2']],
  ['SELECT 1 -- a\r\n;\r\nSELECT 2', ['SELECT 1 -- a', 'SELECT 2']],
])('splits %j', (sql, expected) => {
  expect(splitStatements(sql)).toEqual(expected)
})

test.each([
  ["SELECT 1;\nSELECT 'x", "the quote ' that begins on line 2 has no end"],
  ['SELECT "x\\"', 'the quote " that begins on line 1 has no end'],
  ['/* a', 'the comment that begins on line 1 has no end'],
  ['SELECT ‘x', 'the quote ‘ that begins on line 1 has no end'],
])('refuses %j', (sql, message) => {
  expect(() => splitStatements(sql)).toThrow(message)
})

const anyText = fc.string({ unit: 'binary' })
const withoutEnd = (end: string) =>
  anyText.filter((text) => !text.includes(end) && !`${text}${end}`.slice(0, -1).includes(end))
const escaped = (quote: string) =>
  anyText.map((text) => quote + text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`) + quote)
const doubled = (quote: string) =>
  anyText.map((text) => quote + text.replaceAll('\\', '\\\\').replaceAll(quote, quote + quote) + quote)
const token = fc.oneof(
  ...["'", '"', '`'].flatMap((quote) => [escaped(quote), doubled(quote)]),
  withoutEnd('$tag$').map((text) => `$tag$${text}$tag$`),
  withoutEnd('*/').map((text) => `/*${text}*/`),
  withoutEnd('\n').map((text) => `--${text}\n`),
  withoutEnd('\n').map((text) => `# ${text}\n`),
  fc.constantFrom('SELECT', 'a$b', '42', '(', ')', ',', '+', '=', '{x:String}'),
)
/** Begins with a word, so that it is a statement and trimming takes nothing of it but the end of a last comment. */
const statement = fc.array(token).map((tokens) => ['SELECT', ...tokens, 'END'].join(' '))

test('cuts any statements apart where they were joined, whatever their quotes and comments hold', () => {
  fc.assert(
    fc.property(fc.array(statement), (statements) => {
      expect(splitStatements(statements.join(';'))).toEqual(statements)
      expect(splitStatements(statements.map((s) => `\n${s} ;`).join('\n'))).toEqual(statements)
    }),
    { numRuns: 1000 },
  )
})
