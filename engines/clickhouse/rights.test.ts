import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Session } from 'chdb'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectedFilter } from './policies.ts'
import { WRITES } from './resources.ts'

// The embedded engine cannot make users, but it obeys those of a file, and runs as `default`: so `default` is given
// exactly what a tenant's login gets, and the few rights that the set-up needs in the databases of others.
const own = 't_acme_00000000'
const shared = 'd_olap_00000000'
const SETUP = ['CREATE DATABASE ON *.*', ...['other', shared].map((db) => `CREATE TABLE, INSERT ON ${db}.*`)]
const TENANT = [`${WRITES.join(', ')} ON ${own}.*`, `SELECT, dictGet ON ${own}.*`, `SELECT ON ${shared}.events`]
const grants = [...SETUP, ...TENANT].map((right) => `<query>GRANT ${right}</query>`).join('')
const USERS = `<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
  <password/><networks><ip>::/0</ip></networks><grants>${grants}</grants>
  <databases><${shared}><events><filter>${expectedFilter('t_acme_11111111')}</filter></events></${shared}></databases>
</default></users></clickhouse>`

const dir = mkdtempSync(join(tmpdir(), 'tenantry-rights-'))
let session: Session

async function run(sql: string): Promise<readonly unknown[]> {
  const result = await session.queryAsync(sql, { format: 'JSONEachRow' })
  const lines = result.text().split('\n').filter(Boolean)
  return lines.map((line): unknown => JSON.parse(line))
}

beforeAll(async () => {
  const users = join(dir, 'users.xml')
  const config = join(dir, 'config.xml')
  writeFileSync(users, USERS)
  const path = `<user_directories><users_xml><path>${users}</path></users_xml></user_directories>`
  writeFileSync(config, `<clickhouse>${path}</clickhouse>`)
  session = new Session(join(dir, 'data'), { connectionArgs: [`--config-file=${config}`] })
  for (const database of [own, 'other', shared]) await run(`CREATE DATABASE ${database}`)
  await run('CREATE TABLE other.secret (a UInt8) ENGINE = MergeTree ORDER BY a')
  await run('INSERT INTO other.secret VALUES (1)')
  await run(`CREATE TABLE ${shared}.events (tenant_id String, n UInt8) ENGINE = MergeTree ORDER BY tenant_id`)
  await run(`INSERT INTO ${shared}.events VALUES ('t_acme_11111111', 1), ('t_other_22222222', 2)`)
})

afterAll(() => {
  session?.close()
  rmSync(dir, { recursive: true, force: true })
})

test('what a ReadWrite login is granted is enough for everything inside its own database', async () => {
  for (const sql of [
    `CREATE TABLE ${own}.t (a UInt8, b String) ENGINE = MergeTree ORDER BY a`,
    `INSERT INTO ${own}.t VALUES (1, 'x'), (2, 'y')`,
    `ALTER TABLE ${own}.t ADD COLUMN c DateTime DEFAULT now()`,
    `ALTER TABLE ${own}.t DELETE WHERE a = 2 SETTINGS mutations_sync = 2`,
    `CREATE VIEW ${own}.v AS SELECT a FROM ${own}.t`,
    `OPTIMIZE TABLE ${own}.t FINAL`,
    `RENAME TABLE ${own}.t TO ${own}.u`,
    `TRUNCATE TABLE ${own}.u`,
    `DROP VIEW ${own}.v`,
    `DROP TABLE ${own}.u SYNC`,
  ]) {
    await expect(run(sql), sql).resolves.toBeDefined()
  }
})

test.each([
  'SELECT * FROM other.secret',
  'DROP TABLE other.secret',
  'DROP DATABASE other',
  `DROP DATABASE ${own}`,
  `ALTER DATABASE ${own} MODIFY COMMENT ''`,
  `CREATE VIEW ${own}.leak AS SELECT * FROM other.secret`,
  `CREATE TABLE ${own}.copy ENGINE = Memory AS SELECT * FROM other.secret`,
  `ALTER TABLE ${shared}.events DELETE WHERE 1`,
  "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
  "SELECT * FROM file('/etc/passwd', LineAsString)",
  "SELECT * FROM remote('127.0.0.1:1', system.one)",
  'CREATE USER mallory',
])('and refuses %s', async (sql) => {
  await expect(run(sql)).rejects.toThrow(/ACCESS_DENIED/)
})

test('the row policy shows a tenant its own rows of a shared table and no other', async () => {
  expect(await run(`SELECT tenant_id, n FROM ${shared}.events`)).toEqual([{ tenant_id: 't_acme_11111111', n: 1 }])
  expect(await run(`SELECT n FROM ${shared}.events WHERE tenant_id = 't_other_22222222'`)).toEqual([])
})
