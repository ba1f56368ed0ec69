import fc from 'fast-check'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { expect, test } from 'vitest'
import { lint } from '../lint/lint.ts'
import { parseSql, scanSql } from '../lint/parser.ts'
import { bind } from './bind.ts'
import { placeholdersOf, readable } from './placeholders.ts'

const bound = async (body: string, schema = 't_a', tenant: string | undefined = 'ns/a'): Promise<string> =>
  bind({
    name: '1_a.sql',
    body,
    placeholders: await placeholdersOf(body),
    schema,
    ...(tenant !== undefined && { tenant }),
  })

test.each([
  [`SELECT * FROM :"schema".orders`, `SELECT * FROM "t_a".orders`],
  [`SELECT :'schema', :'tenant'`, `SELECT 't_a', 'ns/a'`],
  [`SELECT :'schema'::text`, `SELECT 't_a'::text`],
  [`-- 😀 ünïcödé\nSELECT '😀', :'schema'`, `-- 😀 ünïcödé\nSELECT '😀', 't_a'`],
])('a placeholder in %s is found and bound', async (body, expected) => {
  expect(await bound(body)).toBe(expected)
})

test.each([
  ['a string', `SELECT 'it is :"schema" and :''schema'''`],
  ['a comment', `SELECT 1 -- :'schema'\n/* :'tenant' */`],
  ['a dollar quote', `DO $$ BEGIN PERFORM :'schema'; END $$`],
  ['a name in quotes', `SELECT ":'schema'" FROM t`],
  ['a cast', `SELECT a::"schema" FROM t`],
  ['another variable', `SELECT :'other', :"tenant", :schema`],
  ['a file that cannot be read', `SELECT :'schema' 'open`],
])('what looks like a placeholder in %s is none', async (_, body) => {
  expect(await placeholdersOf(body)).toEqual([])
})

test('values are quoted, whatever they hold, and the rest of the file stays as it is', async () => {
  const hostile = fc.string({ unit: 'binary', minLength: 1 }).filter((value) => !value.includes('\0'))
  const noise = fc.constantFrom(' ', '/* :"schema" */', "'x:''y'", "$$:'tenant'$$", '"😀"', '\n-- é\n')
  await fc.assert(
    fc.asyncProperty(hostile, hostile, noise, async (schema, tenant, between) => {
      const text = await bound(`SELECT ${between}, :"schema".a, ${between}, :'schema', :'tenant'`, schema, tenant)
      const [id, literal, other] = [escapeIdentifier(schema), escapeLiteral(schema), escapeLiteral(tenant)]
      expect(text).toBe(`SELECT ${between}, ${id}.a, ${between}, ${literal}, ${other}`)
    }),
  )
})

test('a placeholder without a value is refused in words', async () => {
  const body = `SELECT :'tenant'`
  const placeholders = await placeholdersOf(body)
  expect(() => bind({ name: '1_a.sql', body, placeholders, schema: 'd_a' })).toThrow(
    `read SQL file 1_a.sql: it asks for :'tenant', and the tables of schema "d_a" belong to no single one`,
  )
})

test('the text for the parser has the length of the file, and its names and strings in the same places', async () => {
  const body = `CREATE TABLE :"schema".t (a text DEFAULT :'tenant');`
  const text = readable(body, await placeholdersOf(body))
  expect(text).toHaveLength(body.length)
  expect((await parseSql(text)).refusal).toBeUndefined()
  const tokens = (await scanSql(text)).value?.map(({ text: token }) => token)
  expect(tokens).toEqual(expect.arrayContaining(['":schema"', "':tenant'"]))
})

test('lint reads files with placeholders, takes the own schema for what it is, and finds the others', async () => {
  const own = await lint({
    name: 'a.sql',
    body: `CREATE TABLE :"schema".t (id bigint PRIMARY KEY, of text DEFAULT :'tenant');`,
  })
  expect(own.findings).toEqual([])
  const body = `-- phase: expand\nSELECT :'schema';\nCREATE TABLE :"schema".a (id bigint PRIMARY KEY); DROP TABLE other.b;`
  const { findings } = await lint({ name: 'b.sql', body })
  expect(findings).toContainEqual(expect.objectContaining({ rule: 'other-schema', line: 3 }))
})
