import { assignmentsOf, commandsOf } from '../alter.ts'
import { isWord, NAME, PATH, type Part, type Statement } from '../reading.ts'
import { either, type Hit, inCommands, inStatement, named, rules } from '../rule.ts'

const THING = '(?:COLUMN|INDEX|PROJECTION|CONSTRAINT|STATISTICS)'

/** What does not come to the same when it is run again, as a file is that was interrupted or lost a table. */
export const REPEAT = rules('repeat', 'error', {
  'missing-if-not-exists': {
    title: 'Something is made without IF NOT EXISTS',
    why: 'A file that was interrupted runs again from its beginning, and would stop where it exists already.',
    instead: 'add IF NOT EXISTS',
    bad: 'CREATE TABLE events (id UInt64) ENGINE = MergeTree ORDER BY id;',
    good: 'CREATE TABLE IF NOT EXISTS events (id UInt64) ENGINE = MergeTree ORDER BY id;',
    find: either(
      inStatement(
        new RegExp(`^CREATE (?:TABLE|VIEW|MATERIALIZED VIEW|DICTIONARY|INDEX) (?!IF NOT EXISTS )(${PATH})`),
        '$ is made without IF NOT EXISTS',
      ),
      inCommands(new RegExp(`^ADD ${THING} (?!IF NOT EXISTS )(${PATH})`), '$ is added without IF NOT EXISTS'),
    ),
  },
  'missing-if-exists': {
    title: 'Something is dropped or renamed without IF EXISTS',
    why: 'A file that was interrupted runs again from its beginning, and would stop where it is gone already.',
    instead: 'add IF EXISTS',
    bad: 'ALTER TABLE events DROP INDEX by_kind;',
    good: 'ALTER TABLE events DROP INDEX IF EXISTS by_kind;',
    find: either(
      inStatement(
        new RegExp(`^DROP (?:TABLE|VIEW|DICTIONARY|INDEX) (?!IF EXISTS )(${PATH})`),
        '$ is dropped without IF EXISTS',
      ),
      inStatement(
        new RegExp(`^RENAME (?:TABLE |DICTIONARY )?(?!TABLE |DICTIONARY |IF EXISTS )(${PATH})`),
        '$ is renamed without IF EXISTS',
      ),
      inStatement(new RegExp(`^RENAME .* , (?!IF EXISTS )(${PATH})`), '$ is renamed without IF EXISTS'),
      inCommands(
        new RegExp(`^(?:DROP|CLEAR|RENAME) ${THING} (?!IF EXISTS )(${PATH})`),
        '$ is changed without IF EXISTS',
      ),
    ),
  },
  'used-before-removal': {
    title: 'Something is dropped or renamed that an earlier statement of the file uses',
    why: 'A file that was interrupted behind the drop runs again from its beginning, where the earlier statement misses what is gone.',
    instead: 'put the drop or rename into a file of its own, with a higher version',
    bad: "-- lint:ignore-file rename-column agreed\nALTER TABLE e MODIFY COLUMN kind COMMENT 'x';\nALTER TABLE e RENAME COLUMN IF EXISTS kind TO sort;",
    good: '-- lint:ignore rename-column agreed\nALTER TABLE e RENAME COLUMN IF EXISTS kind TO sort;',
  },
  'create-as-select': {
    title: 'A table is made and filled by one statement',
    why: 'Where it is interrupted, the table is there with some of its rows, and the next run skips it.',
    instead: 'CREATE OR REPLACE TABLE, which changes nothing until it has all rows, or a materialized view',
    bad: 'CREATE TABLE IF NOT EXISTS days ENGINE = MergeTree ORDER BY day AS SELECT toDate(at) AS day FROM events;',
    good: 'CREATE TABLE IF NOT EXISTS days (day Date) ENGINE = MergeTree ORDER BY day;',
    find: createAsSelect,
  },
  populate: {
    title: 'A materialized view is filled as it is made',
    why: 'Where it is interrupted, the view lacks rows, and the next run skips it. Rows that come meanwhile are lost, too.',
    instead: 'make the view first; then fill its table by a program that knows how far it has got',
    bad: 'CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = MergeTree ORDER BY id POPULATE AS SELECT id FROM events;',
    good: 'CREATE MATERIALIZED VIEW IF NOT EXISTS v TO days AS SELECT toDate(at) AS day FROM events;',
    find: inStatement(/^CREATE (?:OR REPLACE )?MATERIALIZED VIEW .* POPULATE /, 'the view is filled as it is made'),
  },
  insert: {
    locked: false,
    title: 'Rows are inserted',
    why:
      'They come a second time when the file runs again. A deduplication token does not make it safe: it is heeded by replicated tables and those ' +
      'with a window for it alone, and forgotten after some time.',
    instead:
      'load data by a program; ignore this rule where the table replaces rows of the same key, or the SELECT leaves out what is there',
    bad: "INSERT INTO countries VALUES ('DE');",
    good:
      '-- lint:ignore insert only what is not there yet\n' +
      "INSERT INTO countries SELECT 'DE' WHERE 'DE' NOT IN (SELECT code FROM countries);",
    find: either(
      inStatement(new RegExp(`^INSERT INTO (?:TABLE )?(?!FUNCTION )(${PATH})`), 'rows are inserted into $'),
      inStatement(/^(?:WITH|FROM) .* INSERT INTO /, 'rows are inserted'),
    ),
  },
  'relative-update': {
    title: 'A column gets a value that depends on its old one',
    why: 'The value changes once more each time the file runs.',
    instead: 'add a column, fill that, and let a later file drop the old one',
    bad: '-- lint:ignore update-rows all are meant\nALTER TABLE events UPDATE price = price * 100 WHERE true;',
    good: '-- lint:ignore update-rows all are meant\nALTER TABLE events UPDATE cents = price * 100 WHERE true;',
    find: relativeUpdate,
  },
  'remove-property': {
    title: 'A property is removed',
    why: 'The server refuses to remove what is not there, so that the file would stop at its second run.',
    instead: 'state the whole column without it (MODIFY COLUMN name type), or a TTL that never comes',
    bad: 'ALTER TABLE events MODIFY COLUMN kind REMOVE DEFAULT;',
    good: "ALTER TABLE events MODIFY COLUMN kind COMMENT '';",
    find: either(
      inCommands(new RegExp(`^MODIFY COLUMN (?:IF EXISTS )?(${PATH})REMOVE `), 'a property of $ is removed'),
      inCommands(/^REMOVE (TTL|SAMPLE BY) /, '$ is removed'),
    ),
  },
  'partition-statement': {
    title: 'Partitions are moved between places',
    why: 'The second time they are no longer there, or come once more.',
    instead: 'do this by hand or by a program; in files, DROP PARTITION alone may be repeated',
    bad: "ALTER TABLE events DETACH PARTITION '202601';",
    good: "-- lint:ignore drop-partition old\nALTER TABLE events DROP PARTITION '202601';",
    find: inCommands(
      /^((?:ATTACH|DETACH|REPLACE|MOVE|FETCH|FREEZE|UNFREEZE|FORGET|EXPORT|DROP DETACHED|DROP PART(?! PARTITION)\b)) /,
      '$ cannot be repeated',
    ),
  },
  'exchange-tables': {
    title: 'Tables are exchanged',
    why: 'Run twice, it undoes itself.',
    instead: 'CREATE OR REPLACE TABLE, or RENAME TABLE IF EXISTS to names that are used once',
    bad: 'EXCHANGE TABLES events AND events_new;',
    good: 'CREATE OR REPLACE VIEW current AS SELECT id FROM events_new;',
    find: inStatement(/^EXCHANGE (TABLES|DICTIONARIES) /, 'tables are exchanged'),
  },
  'temporary-table': {
    title: 'A temporary table',
    why: 'Every statement is a request of its own, after which the table is gone.',
    instead: 'use a subquery, or WITH',
    bad: 'CREATE TEMPORARY TABLE work (id UInt64);',
    good: 'SELECT throwIf(count() > 0) FROM events WHERE id = 0;',
    find: inStatement(/^(?:CREATE (?:OR REPLACE )?|DROP )TEMPORARY /, 'a temporary table lasts for one statement'),
  },
})

const NEW_TABLE = new RegExp(`^CREATE TABLE (?:IF NOT EXISTS )?${NAME} `)

function createAsSelect({ shape, parts }: Statement): readonly Hit[] {
  if (!NEW_TABLE.test(shape)) return []
  const as = parts.findIndex((part, i) => part.depth === 0 && isWord(part, 'AS') && isQuery(parts[i + 1]))
  const empty = isWord(parts[as - 1], 'EMPTY')
  return as < 0 || empty ? [] : [{ message: 'the table is made and filled by one statement', part: parts[as] }]
}

function isQuery(part: Part | undefined): boolean {
  return isWord(part, 'SELECT', 'WITH', 'FROM') || (part?.kind === 'sign' && part.text === '(')
}

function relativeUpdate(statement: Statement): readonly Hit[] {
  const updates = [statement, ...commandsOf(statement)].filter(({ shape }) => shape.startsWith('UPDATE '))
  return updates.flatMap((update) =>
    assignmentsOf(update)
      .filter(({ column, value }) => value.some((part) => part.kind !== 'string' && part.text === column.text))
      .map(({ column }) => ({ message: `${named([column])} gets a value that depends on its old one`, part: column })),
  )
}
