import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasErrors, needsApproval } from '../../postgres/lint/findings.ts'
import { lintClickHouse } from './lint.ts'
import { RULE_IDS, RULES } from './rules.ts'

const read = (body: string) => lintClickHouse({ name: 'a.sql', body })
const rulesOf = (body: string) => read(body).findings.map(({ rule }) => rule)

describe('examples', () => {
  test.each(RULE_IDS)('the bad one of %s breaks that rule and no other', (id) => {
    const { findings } = read(RULES[id].bad)
    expect([...new Set(findings.map(({ rule }) => rule))], JSON.stringify(findings)).toEqual([id])
  })

  test.each(RULE_IDS)('the good one of %s breaks none', (id) => {
    expect(read(RULES[id].good).findings).toEqual([])
  })
})

test.each([
  ['CREATE TABLE IF NOT EXISTS `a.b` (id UInt64, `file` String, url String) ENGINE = MergeTree() ORDER BY (id, url)'],
  [
    'CREATE TABLE IF NOT EXISTS t (n Nested(a String), d DateTime64(3) DEFAULT now64(3)) ENGINE = ReplacingMergeTree ORDER BY n.a',
  ],
  ["CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = ReplicatedMergeTree('/t/{uuid}', '{replica}') ORDER BY a"],
  ['CREATE TABLE IF NOT EXISTS d AS t ENGINE = Distributed(main, {schema:Identifier}, t, rand())'],
  ['CREATE TABLE IF NOT EXISTS d AS t ENGINE = Buffer(currentDatabase(), t, 1, 1, 1, 1, 1, 1, 1)'],
  ['CREATE TABLE IF NOT EXISTS t (INDEX i a TYPE set(100) GRANULARITY 2, a UInt8) ENGINE = MergeTree ORDER BY a'],
  [
    "CREATE VIEW IF NOT EXISTS v AS SELECT extract(DAY FROM e.at) AS d, trim(BOTH ' ' FROM e.kind) FROM events AS e, clicks AS c",
  ],
  [
    'CREATE VIEW IF NOT EXISTS v AS SELECT e.id FROM events AS e JOIN clicks AS c ON e.id = c.id AND c.n.x > 1 WHERE e.a IN (1, 2)',
  ],
  [
    'CREATE VIEW IF NOT EXISTS v AS SELECT x.a FROM events ARRAY JOIN n.a AS a, n.b AS b WHERE id IN (SELECT id FROM clicks)',
  ],
  [
    'CREATE MATERIALIZED VIEW IF NOT EXISTS v REFRESH EVERY 1 DAY APPEND TO days AS WITH d AS (SELECT 1) SELECT * FROM d',
  ],
  ['CREATE TABLE IF NOT EXISTS t EMPTY AS SELECT 1 AS a'],
  ['CREATE INDEX IF NOT EXISTS i ON events (kind) TYPE minmax'],
  [
    'ALTER TABLE e (ADD COLUMN IF NOT EXISTS a Tuple(x UInt8, y UInt8)), (MODIFY SETTING a = 1, b = 2), (MODIFY ORDER BY (x, a))',
  ],
  [
    "ALTER TABLE e MODIFY COLUMN kind DEFAULT 'x', MODIFY COLUMN n.a CODEC(ZSTD), RESET SETTING a, b, ADD COLUMN IF NOT EXISTS o String DEFAULT {tenant:String}",
  ],
  ['ALTER TABLE e ADD STATISTICS IF NOT EXISTS a, b TYPE tdigest, MATERIALIZE INDEX i, MODIFY QUERY SELECT a FROM b'],
  ["SELECT 'SELECT * FROM system.tables', \"system.x\" FROM events -- GRANT; FROM url('x')"],
  ['OPTIMIZE TABLE {schema:Identifier}.events; ; ;'],
])('lets pass %j', (sql) => {
  expect(read(sql).findings).toEqual([])
})

const ATTEMPTS: readonly (readonly [rule: string, sql: string])[] = [
  ['other-database', 'CREATE TABLE IF NOT EXISTS other.t (a UInt8) ENGINE = MergeTree ORDER BY a'],
  ['other-database', 'CREATE TABLE IF NOT EXISTS t AS other.t'],
  ['other-database', 'CREATE VIEW IF NOT EXISTS v AS SELECT * FROM a, `other`.t'],
  ['other-database', 'CREATE VIEW IF NOT EXISTS v AS SELECT * FROM a AS x JOIN b USING id, "other" . t AS y'],
  ['other-database', 'CREATE VIEW IF NOT EXISTS v AS SELECT (SELECT 1 FROM other.t) FROM a'],
  ['other-database', 'CREATE VIEW IF NOT EXISTS v AS (FROM other.t SELECT 1)'],
  ['other-database', 'CREATE VIEW IF NOT EXISTS v AS SELECT 1 WHERE 1 IN other.t'],
  ['other-database', 'CREATE VIEW IF NOT EXISTS v AS SELECT 1 WHERE 1 GLOBAL NOT IN (other.t)'],
  ['other-database', 'CREATE MATERIALIZED VIEW IF NOT EXISTS v TO other.t AS SELECT 1'],
  ['other-database', 'ALTER TABLE /* x */ other.t ADD COLUMN IF NOT EXISTS a UInt8'],
  ['other-database', 'ALTER TABLE IF EXISTS other.t ADD COLUMN IF NOT EXISTS a UInt8'],
  ['other-database', "ALTER TABLE t ADD COLUMN IF NOT EXISTS a String DEFAULT dictGet('other.d', 'x', 1)"],
  ['other-database', "ALTER TABLE t ADD COLUMN IF NOT EXISTS a String DEFAULT joinGet('oth' || 'er.d', 'x', 1)"],
  ['other-database', "ALTER TABLE t ADD COLUMN IF NOT EXISTS a String DEFAULT dictGetString(other.d, 'x', 1)"],
  ['other-database', 'SELECT name FROM SYSTEM.tables'],
  ['other-database', 'SELECT x.a FROM (SELECT 1) AS x WHERE a IN (SELECT name FROM information_schema.tables)'],
  ['other-database', 'OPTIMIZE TABLE tenantry.ledger'],
  ['other-database', 'CREATE INDEX IF NOT EXISTS i ON other.t (a) TYPE minmax'],
  ['table-function', "SELECT * FROM a JOIN s3('x') AS y ON true"],
  ['table-function', "SELECT * FROM a, remote('x', b, c)"],
  ['table-function', "SELECT * FROM `url`('x')"],
  ['table-function', "SELECT * FROM whateverComesNext('x')"],
  ['table-function', "SELECT file('/etc/passwd')"],
  ['table-function', "CREATE TABLE IF NOT EXISTS t AS postgresql('h', 'd', 't', 'u', 'p')"],
  ['table-function', "-- lint:ignore insert x\nINSERT INTO TABLE FUNCTION url('x') VALUES (1)"],
  ['table-function', "-- lint:ignore insert x\nINSERT INTO FUNCTION whatever('x') VALUES (1)"],
  [
    'table-function',
    "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/')",
  ],
  ['external-engine', "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE File(CSV, '/etc/passwd')"],
  [
    'external-engine',
    "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = ReplicatedMergeTree('/t/other', 'r') ORDER BY a",
  ],
  ['external-engine', "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Merge('other', '.*')"],
  ['external-engine', 'CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Distributed(c, other, t)'],
  [
    'dictionary-source',
    "CREATE DICTIONARY IF NOT EXISTS d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't' DB 'other')) LAYOUT(FLAT())",
  ],
  [
    'dictionary-source',
    "CREATE DICTIONARY IF NOT EXISTS d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(QUERY 'SELECT 1')) LAYOUT(FLAT())",
  ],
  ['access-statement', 'CREATE USER x'],
  ['access-statement', 'create row policy p on t to all'],
  ['access-statement', 'EXECUTE AS root SELECT 1'],
  ['session-statement', 'USE other'],
  ['server-statement', 'KILL QUERY WHERE 1'],
  ['server-statement', 'DETACH TABLE t'],
  ['server-statement', 'CREATE FUNCTION f AS x -> x'],
  ['server-statement', 'DROP DATABASE other'],
  ['server-statement', 'TRUNCATE ALL TABLES FROM other'],
  ['definer', 'CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t DEFINER = `root` SQL SECURITY DEFINER AS SELECT 1'],
  ['server-file', "SELECT 1 INTO OUTFILE '/tmp/x'"],
  ['parallel-with', 'SELECT 1 PARALLEL WITH SELECT 2'],
  ['unknown-statement', 'BEGIN TRANSACTION'],
  ['unknown-statement', 'ALTER TABLE t ADD COLUMN IF NOT EXISTS a UInt8, PAINT COLUMN a'],
  ['unknown-statement', 'ALTER TABLE t'],
  ['unknown-parameter', 'SELECT {tenant:Identifier}'],
  ['parameter-in-view', 'CREATE OR REPLACE VIEW v AS SELECT 1 FROM {schema:Identifier}.t'],
]

const NOT_REPEATABLE: readonly (readonly [rule: string, sql: string])[] = [
  ['used-before-removal', 'ALTER TABLE t UPDATE a = b WHERE true; ALTER TABLE t DROP COLUMN IF EXISTS `b`'],
  [
    'used-before-removal',
    'CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Memory; ALTER TABLE t RENAME COLUMN IF EXISTS a TO b',
  ],
  ['used-before-removal', 'CREATE VIEW IF NOT EXISTS v AS SELECT 1 FROM t; DROP TABLE IF EXISTS t'],
  ['used-before-removal', 'OPTIMIZE TABLE t; RENAME TABLE IF EXISTS t TO u'],
  ['missing-if-not-exists', 'CREATE VIEW v AS SELECT 1'],
  ['missing-if-not-exists', 'ALTER TABLE t ADD COLUMN IF NOT EXISTS a UInt8, ADD INDEX i a TYPE minmax'],
  ['missing-if-not-exists', 'ALTER TABLE t (ADD PROJECTION p (SELECT a ORDER BY a))'],
  ['missing-if-exists', 'DROP TABLE t'],
  ['missing-if-exists', 'RENAME TABLE a TO b'],
  ['missing-if-exists', 'RENAME TABLE IF EXISTS a TO b, c TO d'],
  ['missing-if-exists', 'ALTER TABLE t DROP COLUMN a'],
  ['missing-if-exists', 'ALTER TABLE t RENAME COLUMN a TO b'],
  ['create-as-select', 'CREATE TABLE IF NOT EXISTS t ENGINE = Memory AS (SELECT 1)'],
  ['create-as-select', 'CREATE TABLE IF NOT EXISTS t ENGINE = Memory AS WITH 1 AS x SELECT x'],
  ['insert', 'INSERT INTO t (a) VALUES (1)'],
  ['insert', 'WITH 1 AS x INSERT INTO t SELECT x'],
  ['relative-update', 'UPDATE t SET a = 1, n = n + 1 WHERE true'],
  ['relative-update', 'ALTER TABLE t UPDATE a = 1, `n` = greatest(n, 1) IN PARTITION 1 WHERE true'],
  ['partition-statement', "ALTER TABLE t DROP PART 'all_1_1_0'"],
  ['temporary-table', 'CREATE TEMPORARY TABLE t (a UInt8)'],
]

describe('every rule', () => {
  test.each([...ATTEMPTS, ...NOT_REPEATABLE])('finds %s in %j', (rule, sql) => {
    expect(rulesOf(sql)).toContain(rule)
  })

  test('that keeps a file in its database or repeatable holds whatever is ignored, but that for INSERT', () => {
    const locked = RULE_IDS.filter((id) => RULES[id].locked)
    expect(locked).toEqual(
      expect.arrayContaining(['other-database', 'table-function', 'missing-if-exists', 'unknown-statement']),
    )
    expect(locked).not.toContain('insert')
    for (const id of locked) expect(rulesOf(`-- lint:ignore ${id} because\nSELECT 1`), id).toContain('invalid-ignore')
  })
})

test('a destructive or incompatible file needs approval, ignored or not', () => {
  const found = read('-- lint:ignore drop-table unused: #4\nDROP TABLE IF EXISTS a;\nRENAME TABLE IF EXISTS b TO c;')
  expect(found.ignored).toMatchObject([{ rule: 'drop-table', line: 2, reason: 'unused: #4', ignoredAt: 1 }])
  expect(needsApproval(found).map(({ rule }) => rule)).toEqual(['rename-table', 'drop-table'])
  expect(hasErrors(found)).toBe(true)
})

test('a finding tells line and column in characters, and shows no control characters', () => {
  const { findings } = read('SELECT 1; -- 漢🐘\n/* 🐘 */ DROP TABLE IF EXISTS "a\u001b[31m";')
  expect(findings).toMatchObject([{ line: 2, column: 9, message: 'table "a\\u{1b}[31m" is dropped with its rows' }])
})

test('a policy makes rules stricter, milder or leaves them out, but not those that always hold', () => {
  const body = 'DROP TABLE IF EXISTS a'
  expect(lintClickHouse({ name: 'a', body }, { 'drop-table': 'warning' }).findings[0]?.severity).toBe('warning')
  expect(lintClickHouse({ name: 'a', body }, { 'drop-table': 'off' }).findings).toEqual([])
  expect(() => lintClickHouse({ name: 'a', body }, { 'missing-if-exists': 'off' })).toThrow('always holds')
})

test('reads any text without an error, and what is in quotes and comments finds nothing', () => {
  const word = fc.constantFrom(
    ...'SELECT FROM ALTER TABLE t , ( ) { : } . = ADD UPDATE IN AS TO JOIN ; system x ` " \' CREATE'.split(' '),
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(word, fc.string())), (words) => {
      expect(Array.isArray(read(words.join(' ')).findings)).toBe(true)
      const hidden = words.join(' ').replaceAll('\0', '').replaceAll('\\', '\\\\').replaceAll("'", "\\'")
      expect(read(`SELECT '${hidden}'`).findings).toEqual([])
    }),
    { numRuns: 500 },
  )
})
