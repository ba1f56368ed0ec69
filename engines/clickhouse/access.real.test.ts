import { randomBytes } from 'node:crypto'
import { createClient } from '@clickhouse/client'
import { afterAll, describe, expect, test } from 'vitest'
import { fingerprint } from '../credential.ts'
import type { Batch, TenantInput } from '../model.ts'
import { type ChResource, clickhouse } from './engine.ts'
import { identifier, literal } from './quote.ts'
import { freshTenant, OPTIONS, onRealServer, rawClient, serverUnderTest, type TestTenant } from './testing/server.ts'
import { file, LIMITS, SHARED_FILES } from './testing/subjects.ts'

/**
 * Access control, for real: logins, row policies, quotas, limits. The embedded server keeps no users, so these tests are
 * registered only where CLICKHOUSE_URL names a server that does (see testing/server.ts). What can be proved without one
 * is in statements.real.test.ts (every statement parses), observe-access.test.ts (the system tables are read right) and
 * diff.test.ts (every kind of drift is seen).
 */
if (onRealServer) describeAccess()

test('CLICKHOUSE_URL decides whether access control is tested on a server that keeps users', async () => {
  const session = clickhouse.connect(serverUnderTest(), OPTIONS)
  const health = await session.health(AbortSignal.timeout(30_000))
  expect(health.accessControl, 'CLICKHOUSE_URL must name a server whose user may manage access').toBe(onRealServer)
  await session.close()
})

interface Login {
  readonly tenant: TestTenant
  readonly passwords: ReadonlyMap<string, string>
  readonly input: Omit<TenantInput, 'isolation'>
}

function withLogins(tenant: TestTenant): Login {
  const passwords = new Map<string, string>()
  const logins = (['ReadWrite', 'ReadOnly'] as const).map((access) => {
    const login = clickhouse.loginName(tenant.name, access)
    const password = randomBytes(24).toString('base64url')
    passwords.set(login, password)
    return { access, login, fingerprint: fingerprint(login, password) }
  })
  const { name, tenantId, shared } = tenant
  const files = [file('1', 'CREATE TABLE IF NOT EXISTS own (a UInt8) ENGINE = MergeTree ORDER BY a')]
  const input = { name, tenantId, shared, suspended: false, logins, limits: LIMITS, files }
  return { tenant, passwords, input }
}

function describeAccess(): void {
  const signal = AbortSignal.timeout(300_000)
  const connection = serverUnderTest()
  const session = clickhouse.connect(connection, OPTIONS)
  const raw = rawClient(connection)
  afterAll(async () => {
    await session.close()
    await raw.close()
  })

  async function make(
    owner: Batch['owner'],
    scope: string[],
    wanted: readonly ChResource[],
    login?: Login,
  ): Promise<void> {
    const changes = clickhouse.diff(owner, wanted, await session.observe(scope, signal))
    const secrets = (name: string) => login?.passwords.get(name) ?? ''
    const applied = await session.apply({ owner, changes, secrets }, signal)
    if (applied.failed) throw applied.failed.error
    expect(clickhouse.diff(owner, wanted, await session.observe(scope, signal))).toEqual([])
  }

  const makeTenant = (login: Login, isolation: 'Row' | 'Database', over: Partial<TenantInput> = {}): Promise<void> =>
    make(
      login.tenant.owner,
      [login.tenant.name],
      clickhouse.tenantResources({ ...login.input, isolation, ...over }),
      login,
    )
  const drop = ({ tenant }: Login): Promise<void> => make(tenant.owner, [tenant.name], [])

  async function as<T>(login: Login, name: string, query: string): Promise<T[]> {
    const { host, port, tls } = connection
    const client = createClient({
      url: `${tls === 'off' ? 'http' : 'https'}://${host}:${port}`,
      username: name,
      password: login.passwords.get(name) ?? '',
    })
    try {
      return (await (await client.query({ query, format: 'JSONEachRow' })).json<T>()) as T[]
    } finally {
      await client.close()
    }
  }
  const probe = ({ tenant, passwords }: Login, login: string) =>
    session.probe({ owner: tenant.owner, name: tenant.name, login, password: passwords.get(login) ?? '' }, signal)

  describe('in shared tables', () => {
    test('a tenant reads its own rows and reference tables, writes nothing, and the administrator reads all', async () => {
      const [a, b] = [withLogins(freshTenant('a')), withLogins(freshTenant('b'))]
      const { shared } = a.tenant
      const database = { ...a.tenant.owner, kind: 'Database' } as const
      await make(
        database,
        [shared],
        clickhouse.databaseResources({ isolation: 'Row', shared, extensions: [], files: SHARED_FILES }),
      )
      const inShared = (login: Login): Login => ({ ...login, input: { ...login.input, shared } })
      await makeTenant(inShared(a), 'Row')
      await makeTenant(inShared(b), 'Row')
      const events = `${identifier(shared)}.events`
      const rows = [a, b].map(({ tenant }) => `(${literal(tenant.tenantId)}, 1)`).join(', ')
      await raw.run(`INSERT INTO ${events} VALUES ${rows}`)
      await raw.run(`INSERT INTO ${identifier(shared)}.countries VALUES ('de')`)
      expect(await raw.count(`SELECT count() FROM ${events}`)).toBe(2)
      for (const login of [a, b]) {
        for (const name of login.passwords.keys()) {
          expect(await as(login, name, `SELECT tenant_id FROM ${events}`)).toEqual([
            { tenant_id: login.tenant.tenantId },
          ])
          expect(await as(login, name, `SELECT code FROM ${identifier(shared)}.countries`)).toEqual([{ code: 'de' }])
          await expect(as(login, name, `INSERT INTO ${events} VALUES ('x', 1)`)).rejects.toThrow()
          expect((await probe(login, name)).verdict).toBe('isolated')
        }
        const found = await session.observe([login.tenant.name], signal)
        expect(clickhouse.isolation(login.tenant.owner, found).verdict).toBe('isolated')
      }
      await raw.run(`ALTER ROW POLICY ${identifier(a.tenant.name)} ON ${events} USING 1`)
      expect((await probe(a, a.tenant.name)).verdict).toBe('leaking')
      await drop(a)
      await drop(b)
      await make(database, [shared], [])
    })
  })

  describe('in a database of its own', () => {
    test('a tenant does everything inside, the reader reads, and both are refused elsewhere', async () => {
      const [a, b] = [withLogins(freshTenant('a')), withLogins(freshTenant('b'))]
      await makeTenant(a, 'Database')
      await makeTenant(b, 'Database')
      const own = `${identifier(a.tenant.name)}.own`
      const [writer, reader] = [a.tenant.name, `${a.tenant.name}_ro`]
      await as(a, writer, `INSERT INTO ${own} VALUES (7)`)
      expect(await as(a, reader, `SELECT a FROM ${own}`)).toEqual([{ a: 7 }])
      await expect(as(a, reader, `INSERT INTO ${own} VALUES (8)`)).rejects.toThrow()
      await expect(as(a, writer, `SELECT * FROM ${identifier(b.tenant.name)}.own`)).rejects.toMatchObject({
        code: '497',
      })
      await expect(as(a, writer, `DROP DATABASE ${identifier(a.tenant.name)}`)).rejects.toMatchObject({ code: '497' })
      for (const name of [writer, reader]) expect((await probe(a, name)).verdict).toBe('isolated')
      await drop(a)
      await drop(b)
    })

    test('a rotated password works and the old one does not, and a suspended tenant is locked out', async () => {
      const before = withLogins(freshTenant('rotated'))
      await makeTenant(before, 'Database')
      const after = withLogins(before.tenant)
      await makeTenant(after, 'Database')
      const name = before.tenant.name
      expect(await as(after, name, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      await expect(as(before, name, 'SELECT 1')).rejects.toMatchObject({ code: '516' })
      await makeTenant(after, 'Database', { suspended: true })
      await expect(as(after, name, 'SELECT 1')).rejects.toMatchObject({ code: '516' })
      await makeTenant(after, 'Database')
      expect(await as(after, name, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      await drop(after)
    })

    test('limits hold: memory cannot be raised, and the quota ends the hour', async () => {
      const login = withLogins(freshTenant('limited'))
      await makeTenant(login, 'Database', { limits: { memoryBytes: 50_000_000, queriesPerHour: 5 } })
      const { name } = login.tenant
      await expect(as(login, name, 'SELECT 1 SETTINGS max_memory_usage = 0')).rejects.toMatchObject({ code: '452' })
      const spend = async (): Promise<void> => {
        for (let n = 0; n < 10; n++) await as(login, name, 'SELECT 1')
      }
      await expect(spend()).rejects.toMatchObject({ code: '201' })
      await drop(login)
    })
  })
}
