import { hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { dropped, onAddedColumn, tableName } from './tables.ts'

const PROVIDED = ['CONSTR_DEFAULT', 'CONSTR_IDENTITY', 'CONSTR_GENERATED']
const SERIAL = /^(?:small|big)?serial[248]?$/

/** What breaks versions of a program that still run while the file is applied. */
export const INCOMPATIBLE = rules('incompatible', 'error', {
  'rename-column': {
    title: 'A column gets another name',
    why: 'Versions of the program that still run know only the old name.',
    instead: 'add a column, write to both, copy the values, read the new one, and drop the old one in a later file',
    bad: 'ALTER TABLE orders RENAME COLUMN note TO remark;',
    good: 'ALTER TABLE orders ADD COLUMN remark text;',
    find: {
      RenameStmt: ({ renameType, subname, newname, relation }) =>
        hit(
          renameType === 'OBJECT_COLUMN' || renameType === 'OBJECT_ATTRIBUTE',
          `column ${quoted(subname)} of ${quoted(tableName(relation))} becomes ${quoted(newname)}`,
        ),
    },
  },
  'rename-table': {
    title: 'A table or view gets another name',
    why: 'Versions of the program that still run know only the old name.',
    instead: 'make a view of the new name over the table, and rename when nothing uses the old name any more',
    bad: 'ALTER TABLE orders RENAME TO purchases;',
    good: 'CREATE VIEW purchases AS SELECT id, state FROM orders;',
    find: {
      RenameStmt: ({ renameType = '', newname, relation }) =>
        hit(
          ['OBJECT_TABLE', 'OBJECT_VIEW', 'OBJECT_MATVIEW', 'OBJECT_FOREIGN_TABLE'].includes(renameType),
          `${quoted(tableName(relation))} becomes ${quoted(newname)}`,
        ),
    },
  },
  'rename-function': {
    title: 'A function or type gets another name',
    why: 'Versions of the program that still run know only the old name.',
    instead: 'make a second one of the new name, and drop the old one in a later file',
    bad: 'ALTER FUNCTION total(bigint) RENAME TO total_cents;',
    good: 'CREATE FUNCTION total_cents(id bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 1 $$;',
    find: {
      RenameStmt: ({ renameType = '', newname }) =>
        hit(
          ['OBJECT_FUNCTION', 'OBJECT_PROCEDURE', 'OBJECT_ROUTINE', 'OBJECT_TYPE', 'OBJECT_DOMAIN'].includes(
            renameType,
          ),
          `it becomes ${quoted(newname)}`,
        ),
    },
  },
  'add-required-column': {
    title: 'A column is added that must have a value and has no default',
    why: 'The statement fails on a table with rows, and inserts of versions that do not know the column fail.',
    instead: 'add it with a DEFAULT, or without NOT NULL and fill it first',
    bad: 'ALTER TABLE orders ADD COLUMN state text NOT NULL;',
    good: "ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new';",
    find: onAddedColumn(({ colname, typeName, location }, constraints) => {
      const required = constraints.some(({ contype = '' }) => ['CONSTR_NOTNULL', 'CONSTR_PRIMARY'].includes(contype))
      const provided = constraints.some(({ contype = '' }) => PROVIDED.includes(contype))
      const type = typeName?.names?.at(-1)
      const serial = type !== undefined && 'String' in type && SERIAL.test(type.String.sval ?? '')
      return hit(required && !provided && !serial, `column ${quoted(colname)} is required and has no default`, location)
    }),
  },
  'alter-enum-value': {
    title: 'A value of an enum gets another name',
    why: 'Versions of the program that still run write and compare the old value.',
    instead: 'add a value, move the rows to it, and leave the old value',
    bad: "ALTER TYPE state RENAME VALUE 'new' TO 'placed';",
    good: "ALTER TYPE state ADD VALUE 'placed';",
    find: {
      AlterEnumStmt: ({ oldVal, newVal }) =>
        hit(oldVal !== undefined, `value ${quoted(oldVal)} becomes ${quoted(newVal)}`),
    },
  },
  'drop-function': {
    title: 'A function or procedure is dropped',
    why: 'Versions of the program that still run and call it fail; so do triggers, defaults and policies that use it.',
    instead:
      'CREATE OR REPLACE keeps it in place; for other parameters make a second one, and drop the old one in a later file',
    bad: 'DROP FUNCTION total(bigint);',
    good: 'CREATE OR REPLACE FUNCTION total(id bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 1 $$;',
    find: {
      DropStmt: (drop) =>
        dropped(drop, ['OBJECT_FUNCTION', 'OBJECT_PROCEDURE', 'OBJECT_ROUTINE', 'OBJECT_AGGREGATE']).map(
          (name) => `${quoted(name.join('.'))} is dropped`,
        ),
    },
  },
  'drop-view': {
    title: 'A view is dropped',
    why: 'Versions of the program that still run and read it fail.',
    instead: 'CREATE OR REPLACE VIEW with the columns it has, and new ones behind them',
    bad: 'DROP VIEW open_orders;',
    good: "CREATE OR REPLACE VIEW open_orders AS SELECT id FROM orders WHERE state = 'open';",
    find: {
      DropStmt: (drop) =>
        dropped(drop, ['OBJECT_VIEW', 'OBJECT_MATVIEW']).map((name) => `view ${quoted(name.join('.'))} is dropped`),
    },
  },
  'drop-type': {
    title: 'A type or sequence is dropped',
    why: 'Versions of the program that still run and name it fail; with CASCADE the columns that use it go with their values.',
    instead: 'drop it in a later file, when nothing uses it any more',
    bad: 'DROP TYPE state;',
    good: "CREATE TYPE state AS ENUM ('new', 'paid');",
    find: {
      DropStmt: (drop) =>
        dropped(drop, ['OBJECT_TYPE', 'OBJECT_DOMAIN', 'OBJECT_SEQUENCE']).map(
          (name) => `${quoted(name.join('.'))} is dropped`,
        ),
    },
  },
})
