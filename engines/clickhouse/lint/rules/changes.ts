import { NAME, PATH } from '../reading.ts'
import { either, inCommands, inStatement, rules } from '../rule.ts'

/** What loses data. */
export const DESTRUCTIVE = rules('destructive', 'error', {
  'drop-table': {
    title: 'A table is dropped',
    why: 'Its rows are gone for every tenant, and versions of the program that still run fail at once.',
    instead: 'stop using the table, deploy that everywhere, then drop it in a later file that is approved',
    bad: 'DROP TABLE IF EXISTS events;',
    good: "ALTER TABLE events MODIFY COMMENT 'no longer used';",
    find: inStatement(new RegExp(`^DROP TABLE (?:IF (?:EXISTS|EMPTY) )*(${PATH})`), 'table $ is dropped with its rows'),
  },
  'drop-view': {
    title: 'A view is dropped',
    why: 'A materialized view without a table of its own takes its rows with it.',
    instead: 'let materialized views write into tables (TO), and have the drop approved',
    bad: 'DROP VIEW IF EXISTS days;',
    good: 'CREATE OR REPLACE VIEW days AS SELECT toDate(at) AS day FROM events;',
    find: inStatement(new RegExp(`^DROP VIEW (?:IF EXISTS )?(${PATH})`), 'view $ is dropped'),
  },
  'replace-table': {
    title: 'A table is replaced',
    why: 'The rows that it had are gone.',
    instead: 'alter the table; or make another one and have the program change over',
    bad: 'CREATE OR REPLACE TABLE days (day Date) ENGINE = MergeTree ORDER BY day;',
    good: 'CREATE TABLE IF NOT EXISTS days (day Date) ENGINE = MergeTree ORDER BY day;',
    find: inStatement(new RegExp(`^CREATE OR REPLACE TABLE (${PATH})`), 'table $ is replaced, and its rows are gone'),
  },
  'drop-column': {
    title: 'A column is dropped or emptied',
    why: 'Its values are gone, and versions of the program that still run and name it fail.',
    instead: 'stop using the column, deploy that everywhere, then drop it in a later file that is approved',
    bad: 'ALTER TABLE events DROP COLUMN IF EXISTS note;',
    good: "ALTER TABLE events COMMENT COLUMN note 'no longer used';",
    find: inCommands(
      new RegExp(`^(?:DROP|CLEAR) COLUMN (?:IF EXISTS )?(${PATH})`),
      'the values of column $ are dropped',
    ),
  },
  'drop-partition': {
    title: 'A partition is dropped',
    why: 'Its rows are gone.',
    instead: 'give the table a TTL if rows are to go with time; else have the file approved',
    bad: "ALTER TABLE events DROP PARTITION '202601';",
    good: "ALTER TABLE events COMMENT COLUMN at 'kept for ever';",
    find: inCommands(/^DROP PARTITION /, 'a partition is dropped'),
  },
  truncate: {
    title: 'A table is emptied',
    why: 'All rows are gone at once.',
    instead: 'delete the rows that have to go, with a condition',
    bad: 'TRUNCATE TABLE IF EXISTS events;',
    good: 'SELECT count() FROM events;',
    find: inStatement(/^TRUNCATE /, 'a table is emptied'),
  },
  'delete-rows': {
    title: 'Rows are deleted',
    why: 'They are gone, and every part of the table that holds one is written anew.',
    instead: 'let a TTL or a program delete rows; have the file approved if it must',
    bad: "DELETE FROM events WHERE kind = 'test';",
    good: "SELECT count() FROM events WHERE kind = 'test';",
    find: either(
      inStatement(new RegExp(`^DELETE FROM (${PATH})`), 'rows of $ are deleted'),
      inCommands(/^DELETE /, 'rows are deleted'),
    ),
  },
  'update-rows': {
    title: 'Rows are updated',
    why: 'The old values are gone, and every part of the table that holds one is written anew.',
    instead: 'fill a new column by its DEFAULT; have the file approved if it must',
    bad: "ALTER TABLE events UPDATE kind = 'other' WHERE kind = '';",
    good: "ALTER TABLE events ADD COLUMN IF NOT EXISTS sort String DEFAULT if(kind = '', 'other', kind);",
    find: either(inStatement(/^UPDATE /, 'rows are updated'), inCommands(/^UPDATE /, 'rows are updated')),
  },
  'modify-ttl': {
    title: 'The TTL of a table or column changes',
    why: 'What is older goes for good with the next merges.',
    instead: 'make sure that nobody needs what is older, and have the file approved',
    bad: 'ALTER TABLE events MODIFY TTL at + INTERVAL 1 YEAR;',
    good: 'CREATE TABLE IF NOT EXISTS e (at Date) ENGINE = MergeTree ORDER BY at TTL at + INTERVAL 1 YEAR;',
    find: either(
      inCommands(/^(?:MODIFY|MATERIALIZE) TTL /, 'the TTL changes'),
      inCommands(new RegExp(`^MODIFY COLUMN (?:IF EXISTS )?(${PATH}).*\\bTTL `), 'the TTL of $ changes'),
    ),
  },
})

const NO_TYPE =
  'DEFAULT|MATERIALIZED|ALIAS|EPHEMERAL|CODEC|COMMENT|TTL|REMOVE|MODIFY|RESET|FIRST|AFTER|STATISTICS|SETTINGS|COLLATE|\\.'

/** What breaks versions of a program that still run. */
export const INCOMPATIBLE = rules('incompatible', 'error', {
  'change-column-type': {
    title: 'The type of a column changes',
    why: 'All values are written anew, values may not fit, and running programs may not expect the new type.',
    instead: 'add a column of the new type, and drop the old one in a later file',
    bad: 'ALTER TABLE events MODIFY COLUMN kind LowCardinality(String);',
    good: 'ALTER TABLE events ADD COLUMN IF NOT EXISTS sort LowCardinality(String) DEFAULT kind;',
    find: inCommands(
      new RegExp(
        `^(?:MODIFY|ALTER) COLUMN (?:IF EXISTS )?((?!IF EXISTS )${NAME} (?:\\. ${NAME} )*)(?!(?:${NO_TYPE}) |$)`,
      ),
      'the type of column $ changes',
    ),
  },
  'rename-column': {
    title: 'A column is renamed',
    why: 'Versions of the program that still run know the old name.',
    instead: 'add a column with the new name, and drop the old one in a later file',
    bad: 'ALTER TABLE events RENAME COLUMN IF EXISTS kind TO sort;',
    good: 'ALTER TABLE events ADD COLUMN IF NOT EXISTS sort String ALIAS kind;',
    find: inCommands(new RegExp(`^RENAME COLUMN (?:IF EXISTS )?(${PATH})`), 'column $ is renamed'),
  },
  'rename-table': {
    title: 'A table is renamed',
    why: 'Versions of the program that still run know the old name.',
    instead: 'make a view with the new name',
    bad: 'RENAME TABLE IF EXISTS events TO facts;',
    good: 'CREATE VIEW IF NOT EXISTS facts AS SELECT id FROM events;',
    find: inStatement(new RegExp(`^RENAME (?:TABLE )?(?:IF EXISTS )?(${PATH})`), '$ is renamed'),
  },
  'drop-dictionary': {
    title: 'A dictionary is dropped',
    why: 'Queries that look something up in it fail.',
    instead: 'stop using it, deploy that everywhere, then drop it in a later file that is approved',
    bad: 'DROP DICTIONARY IF EXISTS countries;',
    good: "SELECT dictGet('countries', 'name', 'DE');",
    find: inStatement(new RegExp(`^DROP DICTIONARY (?:IF EXISTS )?(${PATH})`), 'dictionary $ is dropped'),
  },
})

/** What is regretted later. */
export const PITFALLS = rules('pitfall', 'warning', {
  'on-cluster': {
    title: 'ON CLUSTER',
    why: 'The statement is queued on every node, and one that fails there is not known here; on a Replicated database it is refused.',
    instead: 'use a Replicated database, which needs no ON CLUSTER',
    bad: 'ALTER TABLE events ON CLUSTER main ADD COLUMN IF NOT EXISTS kind String;',
    good: 'ALTER TABLE events ADD COLUMN IF NOT EXISTS kind String;',
    find: inStatement(new RegExp(` ON CLUSTER (${NAME}|'\\d+') `), 'the statement is queued on cluster $'),
  },
  'optimize-final': {
    title: 'OPTIMIZE … FINAL',
    why: 'It writes all of the table anew, for every tenant.',
    instead: 'leave merging to the server, and read with FINAL where it matters',
    bad: 'OPTIMIZE TABLE events FINAL;',
    good: 'SELECT id FROM events FINAL;',
    find: inStatement(new RegExp(`^OPTIMIZE TABLE (${PATH}).*FINAL `), 'table $ is written anew'),
  },
})
