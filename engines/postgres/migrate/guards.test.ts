import { describe, expect, test } from 'vitest'
import { guardsOf } from './guards.ts'

describe('a down file', () => {
  test.each([
    ['', []],
    ['DROP TABLE orders, "Odd ""name";', [{ table: 'orders' }, { table: 'Odd "name' }]],
    ['DROP TABLE IF EXISTS :"schema".orders;', [{ table: 'orders' }]],
    [
      'ALTER TABLE orders DROP COLUMN paid, DROP COLUMN IF EXISTS note, DROP CONSTRAINT c;',
      [
        { table: 'orders', column: 'paid' },
        { table: 'orders', column: 'note' },
      ],
    ],
    ['DROP TABLE a; DROP TABLE a;', [{ table: 'a' }]],
    [
      `SET LOCAL lock_timeout = '1s'; DROP INDEX i; DROP VIEW v; DROP TYPE mood; DROP FUNCTION f(int); DROP TRIGGER t ON o;
       CREATE INDEX ON o (a); CREATE OR REPLACE VIEW w AS SELECT 1; COMMENT ON TABLE o IS 'x'; ALTER TABLE o ALTER a SET DEFAULT 1;`,
      [],
    ],
  ])('%s is guarded', async (body, guards) => {
    expect(await guardsOf(body)).toEqual({ guards })
  })

  test.each([
    ['DROP TABLE orders CASCADE;', 'statement 1 drops with CASCADE'],
    ['ALTER TABLE orders DROP COLUMN a CASCADE;', 'statement 1 drops with CASCADE'],
    ['DROP TYPE mood CASCADE;', 'statement 1 drops with CASCADE'],
    ['DROP TABLE other.orders;', 'statement 1 names another schema'],
    ['ALTER TABLE other.orders DROP COLUMN a;', 'statement 1 names another schema'],
    ['DROP SCHEMA s;', 'statement 1 drops what may hold data'],
    ['DROP SEQUENCE s;', 'statement 1 drops what may hold data'],
    ['DROP INDEX CONCURRENTLY i;', 'statement 1 works CONCURRENTLY'],
    ['CREATE INDEX CONCURRENTLY ON a (b);', 'statement 1 works CONCURRENTLY'],
    ['ALTER TABLE a ALTER b TYPE int;', 'statement 1 may lose data: it alters a'],
    ['ALTER TABLE a RENAME TO b; DROP TABLE b;', 'statement 1 may lose data: it is a RenameStmt'],
    ['ALTER TYPE t DROP ATTRIBUTE a;', 'statement 1 alters what is no table'],
    ['ALTER TABLE a DETACH PARTITION b;', 'statement 1 may lose data'],
    ['DROP INDEX i; TRUNCATE a;', 'statement 2 may lose data: it is a TruncateStmt'],
    ['DELETE FROM a;', 'it is a DeleteStmt'],
    ['UPDATE a SET b = 1;', 'it is a UpdateStmt'],
    ['DO $$ BEGIN END $$;', 'it is a DoStmt'],
    ['SELECT f();', 'it is a SelectStmt'],
    ['SET search_path = a;', 'sets something other'],
    ["SET lock_timeout = '1s';", 'sets something other'],
    ['DROP TABEL a;', 'it cannot be read'],
  ])('%s is refused', async (body, reason) => {
    expect((await guardsOf(body)).reason).toContain(reason)
  })
})
