import { tablePlaces } from '../places.ts'
import { isSign, isWord, NAME, type Part, type Statement } from '../reading.ts'
import { type Hit, inStatement, named, rules } from '../rule.ts'
import { engines, functionName, SYSTEM_DATABASES, sourcesOf } from './outside.ts'

/** Table functions that read nothing but what the statement itself says. */
const HARMLESS: ReadonlySet<string> = new Set(
  'numbers numbers_mt zeros zeros_mt generate_series generateseries generaterandom values null view fuzzquery'.split(
    ' ',
  ),
)

/** Functions that reach files, other servers or other databases, wherever they stand. */
const REACHING: ReadonlySet<string> = new Set(
  (
    'file filecluster filesystem url urlcluster s3 s3cluster gcs oss cosn hdfs hdfscluster azureblobstorage azureblobstoragecluster ' +
    'remote remotesecure cluster clusterallreplicas mysql postgresql mongodb redis sqlite odbc jdbc executable input ' +
    'dictionary merge loop disk arrowflight ytsaurus ' +
    'catboostevaluate hascolumnintable addresstoline addresstolinewithinlines addresstosymbol'
  ).split(' '),
)
const FAMILIES = /^(?:mergetree|iceberg|deltalake|hudi|paimon|timeseries|prometheusquery)/
/** Their first argument names a dictionary or a table. */
const NAMED_BY_TEXT = /^(?:dict(?:get|has|isin)|joinget)/
/** What may stand before a name with a list in brackets that is no call. */
const BEFORE_LIST = ['INTO', 'TABLE', 'VIEW', 'DICTIONARY', 'TO', 'ON', 'EXISTS', 'ENGINE', 'INDEX', 'PROJECTION']

/** What would leave the tenant's own database. A file runs with the rights of the administrative user: nothing else stops it. */
export const ESCAPE = rules('escape', 'error', {
  'other-database': {
    title: 'A name in another database',
    why: 'A file is run for each tenant with the database of that tenant as the current one, and has no business elsewhere.',
    instead: 'leave out the database; where one must be named, {schema:Identifier} stands for it',
    bad: 'CREATE VIEW IF NOT EXISTS v AS SELECT name FROM system.tables;',
    good: 'CREATE MATERIALIZED VIEW IF NOT EXISTS v TO days AS SELECT e.id FROM {schema:Identifier}.events AS e;',
    find: otherDatabases,
  },
  'table-function': {
    title: 'A function that reads or writes elsewhere',
    why: 'It would reach files of the server, other servers or other databases with the rights of the administrative user.',
    instead: 'load data by a program; numbers, values, generateRandom, null and view may be used',
    bad: "CREATE VIEW IF NOT EXISTS v AS SELECT * FROM url('http://example.com/rates.csv');",
    good: 'CREATE VIEW IF NOT EXISTS v AS SELECT number FROM numbers(10);',
    find: reachingFunctions,
  },
  'external-engine': {
    title: 'An engine that keeps its data elsewhere',
    why: 'It would reach files of the server, other servers or other databases with the rights of the administrative user.',
    instead:
      'use the MergeTree family, Null, Memory, Log, Set, Join; Buffer, Merge and Distributed with {schema:Identifier} as their database; a ' +
      "replicated table without a path, or with '{uuid}' in it",
    bad: "CREATE TABLE IF NOT EXISTS rates (a String) ENGINE = URL('http://example.com/rates.csv', CSV);",
    good: 'CREATE TABLE IF NOT EXISTS rates (a String) ENGINE = ReplicatedMergeTree ORDER BY a;',
    find: engines,
  },
  'dictionary-source': {
    title: 'A dictionary with a source elsewhere',
    why: 'It would reach files of the server, other servers or other databases with the rights of the administrative user.',
    instead: "SOURCE(CLICKHOUSE(TABLE 'name')), a table of the same database",
    bad: "CREATE DICTIONARY IF NOT EXISTS d (a UInt64) PRIMARY KEY a SOURCE(HTTP(URL 'http://x' FORMAT TSV)) LAYOUT(FLAT());",
    good: "CREATE DICTIONARY IF NOT EXISTS d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT());",
    find: sourcesOf,
  },
  'access-statement': {
    title: 'Users, roles, policies, quotas or rights',
    why: 'Tenantry makes and guards these itself; they belong to the whole server.',
    instead: 'state access and limits in the Tenant',
    bad: 'GRANT SELECT ON *.* TO somebody;',
    good: 'SELECT 1;',
    find: inStatement(
      /^((?:GRANT|REVOKE|EXECUTE AS|CHECK GRANT)|(?:CREATE|ALTER|DROP) (?:OR REPLACE )?(?:USER|ROLE|ROW POLICY|POLICY|QUOTA|SETTINGS PROFILE|PROFILE)) /,
      'the statement $ is about access',
    ),
  },
  'session-statement': {
    title: 'USE or SET',
    why: 'Every statement is a request of its own: USE would name another database, and SET has no effect on what follows.',
    instead: 'leave it out, or give one statement its own SETTINGS',
    bad: 'SET max_threads = 1;',
    good: 'SELECT 1 SETTINGS max_threads = 1;',
    find: inStatement(/^(USE|SET) /, 'the statement is $'),
  },
  'server-statement': {
    title: 'A statement about the server',
    why: 'It reaches beyond the database of the tenant, or takes tables away under the feet of Tenantry.',
    instead: 'do it by hand, once for the server',
    bad: 'SYSTEM FLUSH LOGS;',
    good: 'OPTIMIZE TABLE events;',
    find: inStatement(
      /^((?:SYSTEM|KILL|BACKUP|RESTORE|ATTACH|DETACH|UNDROP|MOVE)|(?:CREATE|ALTER|DROP|TRUNCATE|RENAME) (?:OR REPLACE )?(?:DATABASE|FUNCTION|NAMED COLLECTION|WORKLOAD|RESOURCE)|TRUNCATE (?:ALL )?TABLES) /,
      'the statement $ is about the server',
    ),
  },
  definer: {
    title: 'A view with the rights of another user',
    why: 'Whoever reads it would read with those rights.',
    instead: 'leave out DEFINER and SQL SECURITY',
    bad: 'CREATE VIEW IF NOT EXISTS v DEFINER = admin SQL SECURITY DEFINER AS SELECT id FROM events;',
    good: 'CREATE VIEW IF NOT EXISTS v AS SELECT id FROM events;',
    find: inStatement(
      new RegExp(
        `^(?:CREATE .* |ALTER TABLE .* )(DEFINER = (?:${NAME}|'\\d+')|SQL SECURITY DEFINER|SQL SECURITY NONE) `,
      ),
      'the view is defined with $',
    ),
  },
  'server-file': {
    title: 'A file of the server',
    why: 'A file must not read or write what is beside the database.',
    instead: 'load data by a program',
    bad: "SELECT 1 INTO OUTFILE '/tmp/x';",
    good: 'SELECT 1;',
    find: inStatement(/ (INTO OUTFILE|FROM INFILE) /, '$ names a file'),
  },
})

function otherDatabases({ parts }: Statement): readonly Hit[] {
  const places = tablePlaces(parts).filter(({ path: [first], path }) => path.length > 1 && first?.kind !== 'parameter')
  const found = new Map(places.map(({ path: [first] }) => [first?.start, first]))
  for (const [i, part] of parts.entries()) {
    const begins = isSign(parts[i + 1], '.') && !isSign(parts[i - 1], '.')
    if (begins && part.kind !== 'string' && SYSTEM_DATABASES.has(part.text.toLowerCase())) found.set(part.start, part)
    const named = namedByText(parts, i)
    if (named) found.set(named.start, named)
  }
  return [...found.values()].flatMap((part) =>
    part ? [{ message: `${named([part])} is a name in another database`, part }] : [],
  )
}

/** The argument of `dictGet('database.dictionary', …)` and its like that is not plainly a name in the same database. */
function namedByText(parts: readonly Part[], i: number): Part | undefined {
  const called = functionName(parts, i)
  if (called === undefined || !NAMED_BY_TEXT.test(called)) return undefined
  const [argument, after] = [parts[i + 2], parts[i + 3]]
  const plain = argument?.kind === 'string' ? !/[.\\]/.test(argument.text) : argument?.kind !== 'sign'
  return plain && (isSign(after, ',') || isSign(after, ')')) ? undefined : argument
}

function reachingFunctions({ parts }: Statement): readonly Hit[] {
  const inPlace = tablePlaces(parts)
    .filter(({ path, isFunction }) => isFunction && !HARMLESS.has(path.at(-1)?.text.toLowerCase() ?? ''))
    .map(({ path }) => path.at(-1))
  const found = new Set(inPlace)
  for (const [i, part] of parts.entries()) {
    const called = functionName(parts, i)
    const list = isWord(parts[i - 1], ...BEFORE_LIST) || isEngine(parts, i)
    if (called !== undefined && !list && (REACHING.has(called) || FAMILIES.test(called))) found.add(part)
  }
  return [...found].flatMap((part) =>
    part ? [{ message: `the function ${named([part])} reaches elsewhere`, part }] : [],
  )
}

/** Engines and the sources of dictionaries are judged by rules of their own. */
function isEngine(parts: readonly Part[], i: number): boolean {
  if (isSign(parts[i - 1], '=')) return isWord(parts[i - 2], 'ENGINE')
  return isSign(parts[i - 1], '(') && isWord(parts[i - 2], 'SOURCE')
}
