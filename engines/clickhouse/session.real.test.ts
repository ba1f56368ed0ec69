import { createServer as createHttpServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { createClient } from '@clickhouse/client'
import { AppError } from '@tenantry/crds/errors.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix, useStack } from '../../test/support/stack.ts'
import type { Connection, Session } from '../model.ts'
import { type ChResource, type ChSnapshot, clickhouse } from './engine.ts'
import { identifier } from './quote.ts'
import { batch, operate, ownDatabase } from './testing/operate.ts'
import { freshTenant, OPTIONS, onRealServer, rawClient, serverUnderTest, type TestTenant } from './testing/server.ts'
import { file } from './testing/subjects.ts'

const signal = AbortSignal.timeout(300_000)
const connection = serverUnderTest()
const raw = rawClient(connection)
const session = clickhouse.connect(connection, OPTIONS)
const { diff, make } = operate(session, signal)
const servers: (Server | TcpServer)[] = []

afterAll(async () => {
  await session.close()
  await raw.close()
  for (const server of servers) server.close()
})

async function listen(server: Server | TcpServer): Promise<Connection> {
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return { ...connection, host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => new Error('it worked'),
    (e: unknown) => e,
  )
  expect(error).toBeInstanceOf(AppError)
  const { code, message } = error as AppError
  if (connection.password) expect(message).not.toContain(connection.password)
  return code
}

async function observing(to: Connection, connectTimeoutMs = 5000): Promise<string> {
  const other = clickhouse.connect(to, { ...OPTIONS, connectTimeoutMs })
  try {
    return await codeOf(other.observe('all', signal))
  } finally {
    await other.close()
  }
}

describe('a shard that cannot be used', () => {
  test('is a Timeout within the connect timeout when the server never answers', async () => {
    const silent = await listen(createTcpServer(() => undefined))
    expect(await observing(silent, 300)).toBe('Timeout')
    const other = clickhouse.connect(silent, { ...OPTIONS, connectTimeoutMs: 300 })
    expect(await codeOf(other.health(signal))).toBe('Timeout')
    expect(await codeOf(other.apply(batch(freshTenant(), await planOf()), signal))).toBe('Timeout')
    await other.close()
  })

  test('gives up when the caller does', async () => {
    const silent = await listen(createTcpServer(() => undefined))
    const other = clickhouse.connect(silent, OPTIONS)
    expect(await codeOf(other.observe('all', AbortSignal.timeout(100)))).toBe('Timeout')
    await other.close()
  })

  test('is AuthenticationFailed with a wrong password', async () => {
    expect(await observing({ ...connection, password: 'wrong' })).toBe('AuthenticationFailed')
  })

  test('is Unreachable where nobody listens', async () => {
    const server = createTcpServer()
    const free = await listen(server)
    await new Promise((done) => server.close(done))
    expect(await observing(free)).toBe('Unreachable')
    expect(await observing({ ...connection, host: 'no-such-host.invalid' })).toBe('Unreachable')
  })

  test('is WrongEngine when it is PostgreSQL, Redis or a web server', async () => {
    const web = await listen(createHttpServer((_, response) => response.end('<html>hello</html>')))
    expect(await observing(web)).toBe('WrongEngine')
    const { postgres, redis } = useStack()
    expect(await observing({ ...connection, host: postgres.host, port: postgres.port })).toBe('WrongEngine')
    expect(await observing({ ...connection, host: redis.host, port: redis.port })).toBe('WrongEngine')
  })

  test('is UnsupportedVersion when the server is too old', async () => {
    const rows = [{ version: '24.8.1.1', user: 'default', writable: 1 }]
    const old = await listen(createHttpServer((_, response) => response.end(JSON.stringify({ data: rows }))))
    expect(await observing(old)).toBe('UnsupportedVersion')
  })
})

async function planOf() {
  const tenant = freshTenant()
  return diff(tenant, ownDatabase(tenant, []))
}

describe('a session', () => {
  test('tells version, size, tables and whether the server keeps users', async () => {
    const health = await session.health(signal)
    expect(health.version).toMatch(/^\d+\.\d+\./)
    expect(health.accessControl).toBe(onRealServer)
    expect(health.latencyMs).toBeGreaterThan(0)
    for (const n of [health.sizeBytes, health.tables, health.connections]) expect(Number.isInteger(n)).toBe(true)
  })

  test('gives a Secret whose address the official client can use', async () => {
    const tenant = freshTenant()
    await make(tenant, ownDatabase(tenant, []))
    const place = clickhouse.address({ ...tenant, isolation: 'Database' }, connection)
    const admin = { login: connection.username ?? '', password: connection.password ?? '' }
    const secret = clickhouse.secretData(connection, place, admin)
    const client = createClient({ url: secret.uri ?? '' })
    const result = await client.query({ query: 'SELECT currentDatabase() AS db', format: 'JSONEachRow' })
    expect(await result.json()).toEqual([{ db: tenant.name }])
    await client.close()
    const hostile = clickhouse.secretData(connection, { database: 'd/b?' }, { login: 'a:b@c', password: "p/w#%'@:" })
    const url = new URL(hostile.uri ?? '')
    expect([url.username, url.password, url.pathname].map(decodeURIComponent)).toEqual(['a:b@c', "p/w#%'@:", '/d/b?'])
    await make(tenant, [])
  })
})

describe('isolation', () => {
  const shared = freshTenant('platform', `shared-${freshSuffix()}`)
  const database: TestTenant = { ...shared, owner: { ...shared.owner, kind: 'Database' }, name: shared.shared }
  const resources = (body: string) =>
    clickhouse.databaseResources({ isolation: 'Row', shared: shared.shared, extensions: [], files: [file('1', body)] })
  const found = (using: Session<ChResource, ChSnapshot> = session) =>
    using.observe([shared.shared, shared.name], signal)

  beforeAll(async () => {
    await make(
      database,
      resources(`CREATE TABLE IF NOT EXISTS good (tenant_id String, a UInt8) ENGINE = MergeTree ORDER BY (tenant_id, a);
      CREATE TABLE IF NOT EXISTS fx (a UInt8) ENGINE = MergeTree ORDER BY a COMMENT 'rates, tenantry:reference'`),
    )
  })

  test('names shared tables that are not split by tenant', async () => {
    const { name, tenantId, owner } = shared
    const input = { name, tenantId, shared: shared.shared, suspended: false, logins: [], limits: {}, files: [] }
    await make(shared, clickhouse.tenantResources({ ...input, isolation: 'Row' }))
    if (!onRealServer) expect(clickhouse.isolation(owner, await found()).verdict).toBe('unsupported')
    const bad = `${identifier(shared.shared)}.bad`
    await raw.run(`CREATE TABLE ${bad} (a UInt8, tenant_id String) ENGINE = MergeTree ORDER BY (a, tenant_id)`)
    for (const who of [owner, database.owner]) {
      const proof = clickhouse.isolation(who, await found())
      expect(proof).toMatchObject({ verdict: 'leaking', evidence: expect.stringContaining(`${shared.shared}.bad`) })
      expect(proof.evidence).not.toMatch(/\.(good|fx)/)
    }
    await raw.run(`DROP TABLE ${bad} SYNC`)
    await make(shared, [])
    await make(database, [])
  })
})

// The other half, on a server that keeps users, is in access.real.test.ts.
if (!onRealServer) {
  test('the embedded server says that it cannot keep tenants apart, in one sentence', async () => {
    const tenant = freshTenant()
    const login = { owner: tenant.owner, name: tenant.name, login: tenant.name, password: 'x' }
    const proof = await session.probe(login, signal)
    expect(proof.verdict).toBe('unsupported')
    expect(proof.evidence).toMatch(/^This server has no writable storage for users .*\.$/)
    const snapshot = await session.observe('all', signal)
    expect(clickhouse.isolation(tenant.owner, snapshot)).toEqual(proof)
  })
}
