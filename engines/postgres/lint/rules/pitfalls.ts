import { isPrimaryKey, tableKey } from '../facts.ts'
import { hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { as, type Fields, names, nodesOf } from '../walk.ts'
import { constraintsIn, onColumn, tableName } from './tables.ts'

const SMALL = new Set(['int4', 'int2', 'serial', 'serial4', 'smallserial', 'serial2'])
const SERIAL = /^(?:small|big)?serial[248]?$/

/** What works today and is regretted later. */
export const PITFALLS = rules('pitfall', 'warning', {
  'prefer-identity': {
    title: 'serial instead of an identity column',
    why: 'A serial column has a sequence with rights and an owner of its own, and takes any value that is inserted.',
    instead: 'bigint GENERATED ALWAYS AS IDENTITY',
    bad: 'CREATE TABLE orders (id bigserial PRIMARY KEY);',
    good: 'CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);',
    find: onColumn(({ colname, location }, type) =>
      hit(SERIAL.test(type), `column ${quoted(colname)} is of type ${type}`, location),
    ),
  },
  'small-primary-key': {
    title: 'A primary key that runs out of numbers',
    why: 'An int ends at 2 147 483 647 and a smallint at 32 767; making it wider later writes the table anew.',
    instead: 'bigint',
    bad: 'CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);',
    good: 'CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);',
    find: onColumn(({ colname, constraints = [], location }, type) =>
      hit(SMALL.has(type) && constraints.some(isPrimaryKey), `the key ${quoted(colname)} is of type ${type}`, location),
    ),
  },
  'char-type': {
    title: 'char(n)',
    why: 'Values are filled with blanks to that length, which count in some comparisons and not in others.',
    instead: 'text, with a CHECK where the length matters',
    bad: 'CREATE TABLE orders (id bigint PRIMARY KEY, currency char(3));',
    good: 'CREATE TABLE orders (id bigint PRIMARY KEY, currency text CHECK (length(currency) = 3));',
    find: onColumn(({ colname, location }, type) =>
      hit(type === 'bpchar', `column ${quoted(colname)} is of type char`, location),
    ),
  },
  'timestamp-without-time-zone': {
    title: 'timestamp without time zone',
    why: 'It is no point in time: what it means depends on who wrote it and who reads it.',
    instead: 'timestamptz',
    bad: 'CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamp);',
    good: 'CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz);',
    find: onColumn(({ colname, location }, type) =>
      hit(type === 'timestamp', `column ${quoted(colname)} is of type timestamp`, location),
    ),
  },
  'json-type': {
    title: 'json instead of jsonb',
    why: 'json is kept as text: it has no equality, so DISTINCT and GROUP BY fail, and no index.',
    instead: 'jsonb',
    bad: 'CREATE TABLE orders (id bigint PRIMARY KEY, details json);',
    good: 'CREATE TABLE orders (id bigint PRIMARY KEY, details jsonb);',
    find: onColumn(({ colname, location }, type) =>
      hit(type === 'json', `column ${quoted(colname)} is of type json`, location),
    ),
  },
  'money-type': {
    title: 'money',
    why: 'It has no currency, and its decimals depend on a setting of the server.',
    instead: 'bigint in the smallest unit, or numeric, with a column for the currency',
    bad: 'CREATE TABLE orders (id bigint PRIMARY KEY, total money);',
    good: 'CREATE TABLE orders (id bigint PRIMARY KEY, total_cents bigint, currency text);',
    find: onColumn(({ colname, location }, type) =>
      hit(type === 'money', `column ${quoted(colname)} is of type money`, location),
    ),
  },
  'table-without-primary-key': {
    title: 'A table without a primary key',
    why: 'Its rows cannot be told apart: logical replication, by which tenants are moved, cannot update or delete them.',
    instead: 'id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, or the columns that identify a row',
    bad: 'CREATE TABLE orders (state text);',
    good: 'CREATE TABLE orders (number bigint, line bigint, PRIMARY KEY (number, line));',
    find: {
      CreateStmt: (create, { keyed }) =>
        hit(
          !hasKey(create) && !keyed.has(tableKey(create.relation)),
          `${quoted(tableName(create.relation))} has none`,
          create.relation?.location,
        ),
    },
  },
  'identifier-too-long': {
    title: 'A name of more than 63 bytes',
    why: 'Postgres cuts it off without an error; two long names may become the same.',
    instead: 'a shorter name',
    bad: 'CREATE TABLE orders_of_customers_that_have_been_imported_from_the_previous_system (id bigint PRIMARY KEY);',
    good: 'CREATE TABLE imported_orders (id bigint PRIMARY KEY);',
  },
  'select-star-in-view': {
    title: 'SELECT * in a view',
    why: 'The columns are fixed as the view is made: those added to the table later are missing, in an order that is hard to change.',
    instead: 'name the columns',
    bad: 'CREATE VIEW open_orders AS SELECT * FROM orders;',
    good: 'CREATE VIEW open_orders AS SELECT id, state FROM orders;',
    find: {
      ViewStmt: ({ view, query }) => hit(starred(query), `the columns of ${quoted(tableName(view))} are not named`),
    },
  },
  'bare-current-setting': {
    title: 'A policy that reads a setting for every row',
    why: 'The server calls the function once a row; within a sub-select it calls it once.',
    instead: "(SELECT current_setting('…'))",
    bad: "CREATE POLICY own ON orders USING (customer = current_setting('app.customer'));",
    good: "CREATE POLICY own ON orders USING (customer = (SELECT current_setting('app.customer')));",
    find: {
      CreatePolicyStmt: ({ qual, with_check: check }) => hit(readsPerRow(qual) || readsPerRow(check), PER_ROW),
      AlterPolicyStmt: ({ qual, with_check: check }) => hit(readsPerRow(qual) || readsPerRow(check), PER_ROW),
    },
  },
  'dynamic-sql': {
    title: 'A function that makes statements out of strings',
    why: 'What it runs is not seen by these rules, and a value in the string may become a statement.',
    instead: 'plain statements; where a name has to vary, EXECUTE format with %I and %L, and an ignore that says so',
    bad: 'CREATE FUNCTION forget(name text) RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  EXECUTE name;\nEND $$;',
    good: 'CREATE FUNCTION forget(old bigint) RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  DELETE FROM orders WHERE id = old;\nEND $$;',
    find: {
      CreateFunctionStmt: (_, { body }) => hit(body?.dynamic === true, 'EXECUTE runs what is not in the file'),
    },
  },
  'do-block': {
    severity: 'error',
    title: 'A DO block',
    why: 'A program hides what a file does: it may do one thing for one tenant and another for the next.',
    instead: 'plain statements with IF EXISTS or ON CONFLICT; if there is no other way, an ignore with the reason',
    bad: 'DO $$\nBEGIN\n  UPDATE orders SET state = $q$new$q$ WHERE state IS NULL;\nEND $$;',
    good: "UPDATE orders SET state = 'new' WHERE state IS NULL;",
    find: { DoStmt: () => ['what it does is not the same everywhere'] },
  },
})

const PER_ROW = 'current_setting is called for every row'

/** Tables that others give their key, and temporary ones, need none of their own. */
function hasKey({ relation, tableElts = [], inhRelations, ofTypename, partbound }: Fields<'CreateStmt'>): boolean {
  if (relation?.relpersistence === 't' || inhRelations || ofTypename || partbound) return true
  return tableElts.some((element) => {
    if (as('TableLikeClause', element)) return true
    const constraints = as('ColumnDef', element)?.constraints ?? [element]
    return constraintsIn(constraints).some(({ contype }) => contype === 'CONSTR_PRIMARY')
  })
}

function starred(query: Fields<'ViewStmt'>['query']): boolean {
  const { targetList = [], valuesLists } = as('SelectStmt', query) ?? {}
  if (valuesLists) return false
  return targetList.some((target) => {
    const fields = as('ColumnRef', as('ResTarget', target)?.val)?.fields ?? []
    return fields.some((field) => 'A_Star' in field)
  })
}

/** What is within a sub-select does not count. */
function readsPerRow(expression: Fields<'CreatePolicyStmt'>['qual']): boolean {
  if (expression === undefined) return false
  const visits = [...nodesOf(expression)]
  const selects = visits.flatMap(({ kind, node }) => (kind === 'SubLink' && node.subselect ? [node.subselect] : []))
  const within = new Set(selects.flatMap((select) => [...nodesOf(select)].map(({ node }): object => node)))
  return visits.some(
    ({ kind, node }) => kind === 'FuncCall' && names(node.funcname).at(-1) === 'current_setting' && !within.has(node),
  )
}
