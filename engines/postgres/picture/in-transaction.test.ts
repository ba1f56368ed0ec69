import { expect, test } from 'vitest'
import { inTransaction } from './in-transaction.ts'

test.each([
  [
    'CREATE INDEX CONCURRENTLY "concurrently" ON orders (placed_at)',
    'CREATE INDEX  "concurrently" ON orders (placed_at)',
  ],
  ['DROP INDEX /* ü */ concurrently IF EXISTS a', 'DROP INDEX /* ü */  IF EXISTS a'],
  ['REFRESH MATERIALIZED VIEW CONCURRENTLY totals', 'REFRESH MATERIALIZED VIEW  totals'],
  ["ALTER TYPE state ADD VALUE 'late'", "ALTER TYPE state ADD VALUE 'late'"],
  ["SELECT 'CONCURRENTLY'", "SELECT 'CONCURRENTLY'"],
  ['ALTER TABLE a DETACH PARTITION b CONCURRENTLY', 'ALTER TABLE a DETACH PARTITION b '],
  ['this is no SQL', 'this is no SQL'],
])('%s runs in a transaction as %s', async (statement, plain) => {
  expect(await inTransaction(statement)).toBe(plain)
})

test.each(['VACUUM orders', 'REINDEX TABLE CONCURRENTLY orders'])(
  '%s makes no difference and is left out',
  async (statement) => {
    expect(await inTransaction(statement)).toBeUndefined()
  },
)
