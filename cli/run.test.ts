import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { run } from './run.ts'

/** Runs the command on files that are given as texts. */
async function command(args: readonly string[], files: Readonly<Record<string, string | Uint8Array>> = {}) {
  const said = { out: '', err: '' }
  const code = await run(args, {
    read: async (file) => {
      const found = files[file]
      if (found === undefined) throw Object.assign(new Error('nothing'), { code: 'ENOENT' })
      return typeof found === 'string' ? Buffer.from(found) : found
    },
    out: (text) => {
      said.out += text
    },
    err: (text) => {
      said.err += text
    },
    kubeConfig: () => Promise.reject(new Error('no cluster is needed')),
    width: 100,
  })
  return { code, ...said }
}

test('each finding is told in one line with its place, and what to write instead below', async () => {
  const { code, out, err } = await command(['lint', 'a.sql'], { 'a.sql': 'SELECT 1;\n  DROP TABLE orders;' })
  expect({ code, err }).toEqual({ code: 1, err: '' })
  expect(out).toMatch(
    /^a\.sql:2:3 error drop-table table "orders" is dropped with all its rows\n {2}instead: stop using/,
  )
  expect(out).toContain('\n1 file: 1 error, 0 warnings, 0 ignored; 1 file to be approved\n')
})

test('warnings alone are no failure', async () => {
  const { code, out } = await command(['lint', 'a.sql'], { 'a.sql': 'CREATE TABLE a (b text);' })
  expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('warning table-without-primary-key') })
})

test('what is ignored is told with its reason, and still needs approval', async () => {
  const { code, out } = await command(['lint', 'a.sql'], {
    'a.sql': '-- lint:ignore drop-table never used\nDROP TABLE a;',
  })
  expect(code).toBe(0)
  expect(out).toContain('a.sql:2:1 ignored drop-table table "a" is dropped with all its rows (never used)')
  expect(out).toContain('0 errors, 0 warnings, 1 ignored; 1 file to be approved')
})

test('JSON has every field of every file, and a summary', async () => {
  const files = { 'a.sql': 'DROP TABLE a;', '-': 'SELECT 1;' }
  const { code, out } = await command(['lint', 'a.sql', '-', '--format', 'json'], files)
  expect(code).toBe(1)
  expect(JSON.parse(out)).toMatchObject({
    files: [
      { file: 'a.sql', needsApproval: true, findings: [{ rule: 'drop-table', line: 1, column: 1 }] },
      { file: '<stdin>', needsApproval: false, findings: [] },
    ],
    summary: { files: 2, errors: 1, warnings: 0, ignored: 0, omitted: 0, needApproval: 1 },
  })
})

test('the severity of a rule can be changed', async () => {
  const files = { 'a.sql': 'CREATE TABLE a (b text);' }
  expect((await command(['lint', 'a.sql', '--severity', 'table-without-primary-key=error'], files)).code).toBe(1)
  const off = await command(['lint', 'a.sql', '--severity', 'table-without-primary-key=off'], files)
  expect(off).toEqual({ code: 0, out: '1 file: 0 errors, 0 warnings, 0 ignored\n', err: '' })
})

test.each([
  [[], 'which command?'],
  [['lnit'], 'there is no command "lnit"'],
  [['lint'], 'name the files to lint'],
  [['lint', 'a.sql', '--format', 'xml'], '--format is text or json, not "xml"'],
  [['lint', 'a.sql', '--severity', 'truncate=loud'], '--severity is RULE=error'],
  [['lint', 'a.sql', '--severity', 'no-rule=off'], 'there is no such rule'],
  [['lint', 'a.sql', '--severity', 'set-role=off'], 'this rule always holds'],
  [['lint', 'a.sql', '--unknown'], "Unknown option '--unknown'"],
  [['migrations'], 'name the Database'],
  [['migrations', '--database', 'oltp'], '--database is NAMESPACE/NAME, not "oltp"'],
  [['schema', '--database', 'a/b', '--tenant', 'A/b'], '--tenant is NAMESPACE/NAME, not "A/b"'],
  [['schema', '--database', 'a/b', '-o', 'xml'], '-o is text or json, not "xml"'],
  [['schema', '--database', 'a/b', '--sql'], "Unknown option '--sql'"],
  [['lint', 'b.sql'], 'read b.sql: there is no such file'],
  [['lint', 'c.sql'], 'read c.sql: it is not UTF-8'],
] as const)('wrong usage %j is told with exit code 2, and nothing is printed', async (args, message) => {
  const { code, out, err } = await command(args, { 'a.sql': '', 'c.sql': new Uint8Array([0xff, 0xfe]) })
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(message)
})

test('a name of a file cannot make the terminal say something else', async () => {
  const { out } = await command(['lint', 'a\u001b[2K\n.sql'], { 'a\u001b[2K\n.sql': 'TRUNCATE a;' })
  expect(out.split('\n')[0]).toBe('a\\u{1b}[2K\\u{a}.sql:1:1 error truncate table "a" is emptied')
})

test('the program reads files and ends with the exit code of the command', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-lint-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'a.sql')
  await writeFile(file, 'DROP TABLE a;')
  const started = promisify(execFile)(process.execPath, [join(import.meta.dirname, 'tenantry.mjs'), 'lint', file])
  await expect(started).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringContaining(`${file}:1:1 error drop-table`),
  })
})

test('files for ClickHouse are known by --engine or by .ch.sql, and have rules and severities of their own', async () => {
  const body = 'CREATE TABLE a (b UInt8) ENGINE = Memory; OPTIMIZE TABLE a FINAL; TRUNCATE a;'
  const files = { 'a.ch.sql': body, 'b.sql': body }
  const severities = ['--severity', 'truncate=off', '--severity', 'optimize-final=error']
  for (const args of [['a.ch.sql'], ['b.sql', '--engine', 'clickhouse']]) {
    const { code, out } = await command(['lint', ...args, ...severities], files)
    expect(code).toBe(1)
    expect(out.match(/(?:error|warning) [a-z-]+/g)).toEqual(['error missing-if-not-exists', 'error optimize-final'])
  }
  expect((await command(['lint', 'b.sql'], files)).out).toContain('error syntax-error')
  expect((await command(['lint', 'b.sql', '--engine', 'redis'], files)).err).toContain('not "redis"')
  expect((await command(['lint', 'b.sql', '--severity', 'no-such=off'], files)).err).toContain('there is no such rule')
})
