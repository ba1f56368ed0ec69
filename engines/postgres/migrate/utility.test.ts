import { expect, test } from 'vitest'
import { statementSpans, wayOf } from './utility.ts'

const DIRECT = { kind: 'direct', patient: false }
const PATIENT = { kind: 'direct', patient: true }
const WRAPPED = { kind: 'wrapped' }

test.each([
  ['VACUUM orders', PATIENT],
  ['VACUUM (ANALYZE)', PATIENT],
  ['ANALYZE orders', PATIENT],
  ['VACUUM FULL orders', WRAPPED],
  ['REINDEX TABLE CONCURRENTLY orders', { kind: 'reindex' }],
  ['REINDEX TABLE orders', WRAPPED],
  ['REFRESH MATERIALIZED VIEW CONCURRENTLY v', DIRECT],
  ['REFRESH MATERIALIZED VIEW v', WRAPPED],
  ["ALTER TYPE mood ADD VALUE IF NOT EXISTS 'glad'", DIRECT],
  ["ALTER TYPE mood RENAME VALUE 'glad' TO 'sad'", WRAPPED],
  ['ALTER TABLE p DETACH PARTITION a CONCURRENTLY', DIRECT],
  ['ALTER TABLE p DETACH PARTITION a FINALIZE', DIRECT],
  ['ALTER TABLE p DETACH PARTITION a', WRAPPED],
  ['ALTER TABLE p ADD COLUMN a int', WRAPPED],
  [
    'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "I 1" ON orders (a)',
    { kind: 'create-index', index: { name: 'I 1', table: 'orders', unique: true } },
  ],
  [
    'CREATE INDEX CONCURRENTLY ON o (a)',
    { kind: 'create-index', index: { name: undefined, table: 'o', unique: false } },
  ],
  ['CREATE INDEX i ON orders (a)', WRAPPED],
  ['DROP INDEX CONCURRENTLY IF EXISTS "t_a".i', { kind: 'drop-index', index: { name: 'i' } }],
  ['DROP INDEX i', WRAPPED],
  ['RESET ROLE', WRAPPED],
  ['VACUUM; RESET ROLE', WRAPPED],
  ['VACUMM orders', WRAPPED],
  ['', WRAPPED],
])('%s is run in the way it needs', async (statement, way) => {
  expect(await wayOf(statement)).toEqual(way)
})

test('the statements of a file are found in characters', async () => {
  const body = `-- tx: none\nSELECT '😀é'; /* ö */ CREATE TABLE :"schema".a (b int);\nVACUUM`
  const spans = await statementSpans(body)
  expect(spans.map(({ start, end }) => body.slice(start, end))).toEqual([
    `SELECT '😀é'`,
    `CREATE TABLE :"schema".a (b int)`,
    'VACUUM',
  ])
})
