import type { ColumnDef, Node } from 'libpg-query'
import { hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { names, nodesOf } from '../walk.ts'
import { onAddedColumn, onAddedConstraint, onCommand, tableName, typeOf } from './tables.ts'

/** Functions that give all rows of a statement the same value: the server computes it once. All others count as volatile. */
const STABLE = new Set(
  (
    'now transaction_timestamp statement_timestamp current_setting date_trunc make_interval make_date make_timestamptz ' +
    'timezone to_timestamp to_date lower upper md5 concat jsonb_build_object jsonb_build_array json_build_object ' +
    'array_fill int4range int8range numrange tsrange tstzrange daterange'
  ).split(' '),
)
const SERIAL = /^(?:small|big)?serial[248]?$/

/** What makes the server read or write all rows of a table under a lock. */
export const REWRITING = rules('blocking', 'error', {
  'add-foreign-key-validating': {
    title: 'A foreign key is checked for all rows under a lock',
    why: 'Nobody can write to either table until every row was looked up.',
    instead: 'add the constraint NOT VALID, and VALIDATE CONSTRAINT in a later file',
    bad: 'ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers;',
    good: 'ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;',
    find: onAddedConstraint(({ contype, skip_validation: skipped, location }, table) =>
      hit(
        contype === 'CONSTR_FOREIGN' && skipped !== true,
        `every row of ${quoted(tableName(table))} is looked up`,
        location,
      ),
    ),
  },
  'add-check-validating': {
    title: 'A check is tried on all rows under a lock',
    why: 'Nobody can read or write the table until every row was tried.',
    instead: 'add the constraint NOT VALID, and VALIDATE CONSTRAINT in a later file',
    bad: 'ALTER TABLE orders ADD CONSTRAINT positive CHECK (total_cents >= 0);',
    good: 'ALTER TABLE orders ADD CONSTRAINT positive CHECK (total_cents >= 0) NOT VALID;',
    find: onAddedConstraint(({ contype, skip_validation: skipped, location }, table) =>
      hit(
        contype === 'CONSTR_CHECK' && skipped !== true,
        `every row of ${quoted(tableName(table))} is tried`,
        location,
      ),
    ),
  },
  'add-unique-constraint-not-using-index': {
    title: 'A unique or primary key builds its index while everybody waits',
    why: 'Nobody can read or write the table until the index is built.',
    instead: 'CREATE UNIQUE INDEX CONCURRENTLY in a file before, then ADD CONSTRAINT … UNIQUE USING INDEX',
    bad: 'ALTER TABLE orders ADD CONSTRAINT orders_number UNIQUE (number);',
    good: 'ALTER TABLE orders ADD CONSTRAINT orders_number UNIQUE USING INDEX orders_number;',
    find: onAddedConstraint(({ contype = '', indexname, location }, table) =>
      hit(
        ['CONSTR_UNIQUE', 'CONSTR_PRIMARY', 'CONSTR_EXCLUSION'].includes(contype) && indexname === undefined,
        `all who use ${quoted(tableName(table))} wait for the index`,
        location,
      ),
    ),
  },
  'set-not-null': {
    title: 'A column is made required, and all rows are read under a lock',
    why: 'Nobody can read or write the table until every row was looked at; older versions may still write NULL.',
    instead: 'ADD CHECK (column IS NOT NULL) NOT VALID, then VALIDATE CONSTRAINT in a later file; that is as good',
    bad: 'ALTER TABLE orders ALTER COLUMN state SET NOT NULL;',
    good: 'ALTER TABLE orders ADD CONSTRAINT state_known CHECK (state IS NOT NULL) NOT VALID;',
    find: onCommand(({ command: { subtype, name }, table }) =>
      hit(subtype === 'AT_SetNotNull', `every row of ${quoted(tableName(table))} is looked at for ${quoted(name)}`),
    ),
  },
  'add-column-volatile-default': {
    title: 'A column is added whose value differs from row to row',
    why: 'The table is written anew under a lock: nobody can read or write it. This holds for serial, identity, stored generated columns and volatile defaults.',
    instead:
      'add the column without a default, set the default in a second statement, and fill the old rows in batches',
    bad: 'ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();',
    good: 'ALTER TABLE orders ADD COLUMN token uuid;\nALTER TABLE orders ALTER COLUMN token SET DEFAULT gen_random_uuid();',
    find: onAddedColumn((column) =>
      hit(rewrites(column), `all rows are written anew for column ${quoted(column.colname)}`, column.location),
    ),
  },
  'change-column-type': {
    title: 'A column gets another type',
    why: 'Most changes write the table and its indexes anew while nobody can use it, and running versions get values of a type they do not expect.',
    instead: 'add a column of the new type, write to both, copy the values, and drop the old one in a later file',
    bad: 'ALTER TABLE orders ALTER COLUMN number TYPE bigint;',
    good: 'ALTER TABLE orders ADD COLUMN number_wide bigint;',
    find: onCommand(({ command: { subtype, name }, table }) =>
      hit(subtype === 'AT_AlterColumnType', `column ${quoted(name)} of ${quoted(tableName(table))} changes its type`),
    ),
  },
})

function rewrites({ typeName, constraints = [] }: ColumnDef): boolean {
  if (SERIAL.test(typeOf(typeName))) return true
  return constraints.some((node) => {
    if (!('Constraint' in node)) return false
    const { contype, raw_expr: expression, generated_kind: generated } = node.Constraint
    if (contype === 'CONSTR_GENERATED') return generated !== 'v'
    return contype === 'CONSTR_IDENTITY' || (contype === 'CONSTR_DEFAULT' && isVolatile(expression))
  })
}

function isVolatile(expression: Node | undefined): boolean {
  if (expression === undefined) return false
  return [...nodesOf(expression)].some(
    (visited) => visited.kind === 'FuncCall' && !STABLE.has(names(visited.node.funcname).at(-1) ?? ''),
  )
}
