import { describe, expect, test } from 'vitest'
import { hasErrors, needsApproval } from './findings.ts'
import { lint } from './lint.ts'
import { RULE_IDS, RULES } from './rules.ts'

const read = (body: string) => lint({ name: 'a.sql', body })
const rulesOf = async (body: string) => (await read(body)).findings.map(({ rule }) => rule)

describe('examples', () => {
  test.each(RULE_IDS)('the bad one of %s breaks that rule and no other', async (id) => {
    const { findings } = await read(RULES[id].bad)
    expect([...new Set(findings.map(({ rule }) => rule))], JSON.stringify(findings)).toEqual([id])
  })

  test.each(RULE_IDS)('the good one of %s breaks none', async (id) => {
    expect((await read(RULES[id].good)).findings).toEqual([])
  })
})

describe('ignores', () => {
  test('what is ignored is kept with the reason and the line that says so', async () => {
    const { findings, ignored } = await read('-- Old.\n-- lint:ignore drop-table never used: #12\nDROP TABLE a;')
    expect(findings).toEqual([])
    expect(ignored).toMatchObject([{ rule: 'drop-table', line: 3, reason: 'never used: #12', ignoredAt: 2 }])
  })

  test('one is for the statement after it alone, several may stand before one, and one may be for the file', async () => {
    const body = `-- lint:ignore-file truncate all of it
-- lint:ignore drop-table first
-- lint:ignore drop-column second
DROP TABLE a;
DROP TABLE b;
TRUNCATE c; TRUNCATE d;`
    const { findings, ignored } = await read(body)
    expect(findings.map(({ rule, line }) => [rule, line])).toEqual([
      ['unused-ignore', 3],
      ['drop-table', 5],
    ])
    expect(ignored.map(({ rule }) => rule)).toEqual(['drop-table', 'truncate', 'truncate'])
  })

  test.each([
    ['-- lint:ignore', 'it names no rule'],
    ['-- lint:ignore truncate', 'it gives no reason to ignore truncate'],
    ['-- lint:ignore trunkate because', 'there is no rule "trunkate"'],
    ['-- lint:ignore set-role because', 'set-role cannot be ignored'],
    ['-- lint:ignore syntax-error because', 'syntax-error cannot be ignored'],
    ['-- lint:ignor truncate because', '"lint:ignor" is unknown'],
    ['/* lint:ignore truncate because */', 'an ignore begins with --'],
    ['SELECT 1; -- lint:ignore truncate because', 'an ignore stands on a line of its own'],
    ['SELECT 1;\n-- lint:ignore-file truncate because', 'lint:ignore-file stands before the first statement'],
    ['SELECT 1 +\n-- lint:ignore truncate because', 'an ignore stands before its statement, not within'],
  ])('%j is an error, and ignores nothing', async (comment, message) => {
    const { findings, ignored } = await read(`${comment}\n${comment.includes('+') ? '1;' : ''}TRUNCATE a;`)
    const told = expect.arrayContaining([
      expect.objectContaining({ rule: 'invalid-ignore', severity: 'error', message: expect.stringContaining(message) }),
      expect.objectContaining({ rule: 'truncate' }),
    ])
    expect(findings).toEqual(told)
    expect(ignored).toEqual([])
  })

  test('one after the last statement is an error', async () => {
    expect(await rulesOf('SELECT 1;\n-- lint:ignore truncate because')).toEqual(['invalid-ignore'])
  })

  test.each([
    "SELECT '\n-- lint:ignore truncate because\n'; TRUNCATE a;",
    'SELECT $$\n-- lint:ignore truncate because\n$$; TRUNCATE a;',
    'SELECT 1 AS "\n-- lint:ignore truncate because\n"; TRUNCATE a;',
  ])('text in quotes that looks like one is none: %j', async (body) => {
    expect(await rulesOf(body)).toEqual(['truncate'])
  })
})

describe('policy', () => {
  test('a rule may be stricter, milder or off', async () => {
    const file = { name: 'a.sql', body: 'TRUNCATE a; CREATE TABLE b (c text);' }
    const policy = { truncate: 'warning', 'table-without-primary-key': 'error' } as const
    expect((await lint(file, policy)).findings.map(({ severity }) => severity)).toEqual(['warning', 'error'])
    expect((await lint(file, { truncate: 'off', 'table-without-primary-key': 'off' })).findings).toEqual([])
  })
})

describe('approval', () => {
  test('what loses data or breaks running versions needs it, ignored or not; nothing else does', async () => {
    const body = '-- lint:ignore drop-table unused\nDROP TABLE a; ALTER TABLE b RENAME TO c; REINDEX TABLE d;'
    expect(needsApproval(await read(body)).map(({ rule }) => rule)).toEqual(['rename-table', 'drop-table'])
    expect(needsApproval(await read('REINDEX TABLE d; CREATE TABLE e (f char);'))).toEqual([])
  })

  test('warnings alone are no errors', async () => {
    expect(hasErrors(await read('CREATE TABLE e (f char);'))).toBe(false)
    expect(hasErrors(await read('TRUNCATE a;'))).toBe(true)
  })
})

describe('tables that the file itself makes', () => {
  test('may be changed and filled freely', async () => {
    const body = `CREATE TABLE a (id bigint PRIMARY KEY);
CREATE INDEX a_id ON a (id);
ALTER TABLE a ADD COLUMN token uuid DEFAULT gen_random_uuid(), ADD CHECK (id > 0), ALTER COLUMN id SET NOT NULL;
DELETE FROM a; TRUNCATE a; DROP TABLE a;`
    expect(await rulesOf(body)).toEqual([])
  })

  test('do not lose rows unseen: one that may have been there before is not the own', async () => {
    const body = 'CREATE TABLE IF NOT EXISTS a (id bigint PRIMARY KEY); CREATE INDEX b ON a (id); DROP TABLE a;'
    expect(await rulesOf(body)).toEqual(['drop-table'])
  })

  test('are none before they are made', async () => {
    expect(await rulesOf('TRUNCATE a; CREATE TABLE a (id bigint PRIMARY KEY);')).toEqual(['truncate'])
  })

  test('may get their primary key later', async () => {
    expect(await rulesOf('CREATE TABLE a (id bigint); ALTER TABLE a ADD PRIMARY KEY (id);')).toEqual([])
  })
})

describe('bodies', () => {
  test('a DO block is judged as the file is, and can be ignored only for being one', async () => {
    const body = '-- lint:ignore do-block needs a condition\nDO $$ BEGIN IF true THEN TRUNCATE a; END IF; END $$;'
    const { findings, ignored } = await read(body)
    expect(findings).toMatchObject([{ rule: 'truncate', message: 'in the DO block: table "a" is emptied' }])
    expect(ignored).toMatchObject([{ rule: 'do-block' }])
  })

  test('a trigger function of the usual kind is nothing to remark', async () => {
    const body = `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$
DECLARE o orders%ROWTYPE; n int := 0; names text[];
BEGIN
  NEW.changed_at := now();
  IF TG_OP = 'UPDATE' AND OLD.id <> NEW.id THEN RAISE EXCEPTION 'no: %', OLD.id USING ERRCODE = 'TN001'; END IF;
  FOR o IN SELECT * FROM orders WHERE id = NEW.id LOOP n := n + 1; names[n] := o.state; END LOOP;
  SELECT count(*) INTO STRICT n FROM orders;
  RETURN NEW;
EXCEPTION WHEN no_data_found THEN GET DIAGNOSTICS n = ROW_COUNT; RETURN NULL;
END $f$;`
    expect(await rulesOf(body)).toEqual([])
  })
})

test('a name cannot make a message say something else, nor make it long', async () => {
  const { findings } = await read(
    `DROP TABLE "a\n\u001b[31m\u202e${'x'.repeat(10)}", "${'y'.repeat(50)}"."${'z'.repeat(60)}";`,
  )
  const messages = findings.filter(({ rule }) => rule === 'drop-table').map(({ message }) => message)
  expect(messages[0]).toBe('table "a\\u{a}\\u{1b}[31m\\u{202e}xxxxxxxxxx" is dropped with all its rows')
  expect(messages[1]).toContain(`${'z'.repeat(29)}…" is dropped`)
})

test('of each rule the first hundred findings are told, and the others counted', async () => {
  const { findings, omitted } = await read(`${'TRUNCATE a;'.repeat(150)}SET ROLE x;`)
  expect(findings).toHaveLength(101)
  expect(findings.at(-1)?.rule).toBe('set-role')
  expect(omitted).toBe(50)
})
