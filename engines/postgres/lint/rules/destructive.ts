import { tableKey } from '../facts.ts'
import { hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { dropped, onCommand, tableName } from './tables.ts'

/** What loses data. */
export const DESTRUCTIVE = rules('destructive', 'error', {
  'drop-table': {
    title: 'A table is dropped',
    why: 'Its rows are gone for every tenant, and versions of the program that still run fail at once.',
    instead: 'stop using the table, deploy that everywhere, then drop it in a later file that is approved',
    bad: 'DROP TABLE orders;',
    good: 'CREATE TEMPORARY TABLE work (id bigint PRIMARY KEY);\nDROP TABLE work;',
    find: {
      DropStmt: (drop, { created }) =>
        dropped(drop, ['OBJECT_TABLE', 'OBJECT_FOREIGN_TABLE'])
          .filter((name) => created.get(`${name.length > 1 ? name.at(-2) : ''}.${name.at(-1)}`)?.sure !== true)
          .map((name) => `table ${quoted(name.join('.'))} is dropped with all its rows`),
    },
  },
  'drop-column': {
    title: 'A column is dropped',
    why: 'Its values are gone, and versions of the program that still run and name it fail.',
    instead: 'stop using the column, deploy that everywhere, then drop it in a later file that is approved',
    bad: 'ALTER TABLE orders DROP COLUMN note;',
    good: 'ALTER TABLE orders ALTER COLUMN note DROP NOT NULL;',
    find: onCommand(({ command: { subtype, name }, table }) =>
      hit(
        subtype === 'AT_DropColumn',
        `column ${quoted(name)} of ${quoted(tableName(table))} is dropped with its values`,
      ),
    ),
  },
  truncate: {
    title: 'A table is emptied',
    why: 'TRUNCATE removes all rows under a lock that stops every reader, and with CASCADE those of other tables too.',
    instead: 'delete the rows that have to go in batches, with a condition',
    bad: 'TRUNCATE orders;',
    good: "DELETE FROM orders WHERE placed_at < '2020-01-01';",
    find: {
      TruncateStmt: ({ relations = [] }, { created }) =>
        relations
          .flatMap((node) => ('RangeVar' in node ? [node.RangeVar] : []))
          .filter((table) => created.get(tableKey(table))?.sure !== true)
          .map((table) => `table ${quoted(tableName(table))} is emptied`),
    },
  },
  'delete-without-where': {
    title: 'DELETE without a condition',
    why: 'All rows go. Most often the condition was forgotten.',
    instead: 'add WHERE',
    bad: 'DELETE FROM orders;',
    good: 'DELETE FROM orders WHERE cancelled;',
    find: {
      DeleteStmt: ({ relation, whereClause }, { created }) =>
        hit(
          whereClause === undefined && created.get(tableKey(relation))?.sure !== true,
          `all rows of ${quoted(tableName(relation))} are deleted`,
          relation?.location,
        ),
    },
  },
  'update-without-where': {
    title: 'UPDATE without a condition',
    why: 'All rows get the value, and the old ones are gone; every row is locked and written again in one transaction.',
    instead: 'add WHERE, such as WHERE column IS NULL, and fill large tables in batches',
    bad: "UPDATE orders SET state = 'new';",
    good: "UPDATE orders SET state = 'new' WHERE state IS NULL;",
    find: {
      UpdateStmt: ({ relation, whereClause }, { created }) =>
        hit(
          whereClause === undefined && created.get(tableKey(relation))?.sure !== true,
          `all rows of ${quoted(tableName(relation))} are overwritten`,
          relation?.location,
        ),
    },
  },
})
