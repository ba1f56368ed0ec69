import { commandsOf } from '../alter.ts'
import type { Statement } from '../reading.ts'
import { type Hit, inStatement, named, rules } from '../rule.ts'

const STATEMENTS = [
  'CREATE (?:OR REPLACE )?(?:TABLE|VIEW|DICTIONARY|MATERIALIZED VIEW|INDEX) ',
  'CREATE (?:OR REPLACE )?(?:TEMPORARY|USER|ROLE|ROW|POLICY|QUOTA|SETTINGS|DATABASE|FUNCTION|NAMED|WORKLOAD|RESOURCE) ',
  'DROP (?:TABLE|VIEW|DICTIONARY|INDEX|TEMPORARY|USER|ROLE|ROW|POLICY|QUOTA|SETTINGS|DATABASE|FUNCTION|NAMED|WORKLOAD|RESOURCE) ',
  'ALTER (?:TABLE|USER|ROLE|ROW|POLICY|QUOTA|SETTINGS|DATABASE|NAMED) ',
  '(?:RENAME|EXCHANGE|TRUNCATE|OPTIMIZE|INSERT INTO|DELETE FROM|UPDATE|SELECT|WITH|FROM|USE|SET|GRANT|REVOKE) ',
  '(?:ATTACH|DETACH|UNDROP|SYSTEM|KILL|BACKUP|RESTORE|MOVE|EXECUTE|CHECK GRANT) ',
  '\\( ',
]
const KNOWN = new RegExp(`^(?:${STATEMENTS.join('|')})`)

const COMMANDS = [
  '(?:ADD|DROP|CLEAR|MATERIALIZE) (?:COLUMN|INDEX|PROJECTION|CONSTRAINT|STATISTICS|TTL) ',
  '(?:MODIFY|ALTER) COLUMN ',
  'MODIFY (?:COMMENT|ORDER BY|SAMPLE BY|TTL|SETTING|QUERY|REFRESH|STATISTICS) ',
  'COMMENT COLUMN |RENAME COLUMN |RESET SETTING |REMOVE (?:TTL|SAMPLE BY) |UPDATE |DELETE ',
  '(?:DROP|ATTACH|DETACH|REPLACE|MOVE|FETCH|FREEZE|UNFREEZE|FORGET|EXPORT) (?:PARTITION|PART|DETACHED) |FREEZE ',
]
const KNOWN_COMMAND = new RegExp(`^(?:${COMMANDS.join('|')})`)

/** Parameters that are bound when a file runs, as they must be written. */
export const PARAMETERS: readonly string[] = ['schema:Identifier', 'schema:String', 'tenant:String']

/** What is wrong with a file as such. The first four are found by reading it, not by looking at its statements. */
export const FILE = rules('file', 'error', {
  'unreadable-file': {
    title: 'The file cannot be cut into statements',
    why: 'A quote or comment has no end, or the file is larger than 5 MiB or has a NUL character.',
    instead: 'close the quote, split the file into several, and load large data by other means',
    bad: "SELECT 'x",
    good: "SELECT 'x'",
  },
  'invalid-header': {
    title: 'A line of the header cannot be used',
    why: 'A header that is misspelt would be taken for a remark, and the file run in another way than was meant.',
    instead: '-- phase: expand|backfill|contract, -- requires: VERSION, each at most once',
    bad: '-- phase: later\nSELECT 1;',
    good: '-- phase: expand\nSELECT 1;',
  },
  'invalid-ignore': {
    title: 'An ignore that cannot be used',
    why: 'It names no rule or no reason, stands at a place where it says nothing, or is for a rule that cannot be ignored.',
    instead:
      '-- lint:ignore RULE reason, on a line of its own before the statement; -- lint:ignore-file before the first',
    bad: '-- lint:ignore no-such-rule because\nSELECT 1;',
    good: '-- lint:ignore drop-table it was never used\nDROP TABLE IF EXISTS drafts;',
  },
  'unused-ignore': {
    severity: 'warning',
    title: 'An ignore that ignores nothing',
    why: 'It would hide what is written there later.',
    instead: 'remove it',
    bad: '-- lint:ignore drop-table it was never used\nSELECT 1;',
    good: '-- lint:ignore drop-table it was never used\nDROP TABLE IF EXISTS drafts;',
  },
  'unknown-statement': {
    title: 'A statement that these rules do not know',
    why: 'Whether it may be run again, and what it reaches, cannot be told.',
    instead: 'use CREATE, ALTER, DROP, TRUNCATE, OPTIMIZE, DELETE, UPDATE, INSERT or SELECT, spelt as in the manual',
    bad: 'CREATE TABEL IF NOT EXISTS events (id UInt64) ENGINE = MergeTree ORDER BY id;',
    good: 'CREATE TABLE IF NOT EXISTS events (id UInt64) ENGINE = MergeTree ORDER BY id;',
    find: unknown,
  },
  'unknown-parameter': {
    title: 'A parameter that has no value',
    why: 'The server refuses a statement whose parameters it does not know.',
    instead:
      '{schema:Identifier} or {schema:String} for the database, {tenant:String} for namespace/name of the tenant',
    bad: 'ALTER TABLE events ADD COLUMN IF NOT EXISTS owner String DEFAULT {customer:String};',
    good: 'ALTER TABLE events ADD COLUMN IF NOT EXISTS owner String DEFAULT {tenant:String};',
    find: ({ parts }) =>
      parts
        .filter(({ kind, text }) => kind === 'parameter' && !PARAMETERS.includes(text))
        .map((part) => ({ message: `the parameter ${named([part])} has no value`, part })),
  },
  'parameter-in-view': {
    title: 'A parameter in the query of a view',
    why: 'The server does not bind it: the view keeps it, and whoever reads the view has to give it a value.',
    instead: 'leave out the database, which is the current one; use a materialized view, or a column with the value',
    bad: 'CREATE VIEW IF NOT EXISTS v AS SELECT {tenant:String} AS tenant, id FROM events;',
    good: 'CREATE VIEW IF NOT EXISTS {schema:Identifier}.v AS SELECT id FROM events;',
    find: inStatement(/^CREATE (?:OR REPLACE )?VIEW .* AS .*(\{\d+\}) /, 'the view keeps the parameter $'),
  },
  'parallel-with': {
    title: 'Statements joined by PARALLEL WITH',
    why: 'They run at once, so that nobody can say which of them a crash left out.',
    instead: 'write them one after another, with a semicolon between',
    bad: 'OPTIMIZE TABLE events PARALLEL WITH OPTIMIZE TABLE clicks;',
    good: 'OPTIMIZE TABLE events;',
    find: inStatement(/ PARALLEL WITH /, 'statements are joined by PARALLEL WITH'),
  },
  'inline-data': {
    title: 'Data in a format within the file',
    why: 'It cannot be told from SQL.',
    instead: 'use VALUES or SELECT',
    bad: '-- lint:ignore insert the table replaces rows\nINSERT INTO countries FORMAT CSV 1,2',
    good: '-- lint:ignore insert the table replaces rows\nINSERT INTO countries VALUES (1, 2);',
    find: inStatement(/^INSERT .* FORMAT (?!VALUES )/, 'the INSERT has data in a format'),
  },
})

function unknown(statement: Statement): readonly Hit[] {
  const { shape, parts } = statement
  if (!KNOWN.test(shape)) return [{ message: `a statement that begins with ${named(parts.slice(0, 1))} is unknown` }]
  if (!shape.startsWith('ALTER TABLE ')) return []
  const commands = commandsOf(statement)
  if (commands.length === 0) return [{ message: 'ALTER TABLE without a command' }]
  return commands
    .filter((command) => !KNOWN_COMMAND.test(command.shape))
    .map((command) => ({ message: `${named(command.parts.slice(0, 1))} is no command`, part: command.parts[0] }))
}
