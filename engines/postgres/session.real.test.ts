import { createServer, type Server } from 'node:net'
import { escapeLiteral } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { freshPostgres, freshSuffix, useStack } from '../../test/support/stack.ts'
import type { Connection } from '../model.ts'
import { postgres } from './engine.ts'
import { observe, type Read } from './observe.ts'
import { asTenant, byHand, freshShard, make, OPTIONS, planOf, signal, sqlFile, type Wish } from './testing/lab.ts'

const PASSWORD = 'a very secret password'

/** A server that accepts connections and answers with the given text, or never. */
async function tcpServer(answer: string | undefined): Promise<{ server: Server; connection: Connection }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => answer !== undefined && socket.end(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    server,
    connection: { host: '127.0.0.1', port, username: 'u', password: PASSWORD, database: 'd', tls: 'off' },
  }
}

describe('a session with Postgres that cannot be had', () => {
  const servers: Server[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  const failureOf = async (connection: Connection): Promise<{ code: string; message: string }> => {
    const session = postgres.connect(connection, { ...OPTIONS, connectTimeoutMs: 1_000 })
    try {
      return await session.health(signal).then(
        () => ({ code: 'none', message: '' }),
        (error) => ({ code: error.code, message: error.message }),
      )
    } finally {
      await session.close()
    }
  }
  const hanging = async (answer?: string): Promise<Connection> => {
    const { server, connection } = await tcpServer(answer)
    servers.push(server)
    return connection
  }

  test('because the host hangs ends with Timeout, with and without TLS', async () => {
    const connection = await hanging()
    expect(await failureOf(connection)).toMatchObject({ code: 'Timeout' })
    expect(await failureOf({ ...connection, tls: 'verify' })).toMatchObject({ code: 'Timeout' })
  })

  test('because nobody listens ends with Unreachable', async () => {
    const connection = await hanging()
    await new Promise((resolve) => servers.pop()?.close(resolve))
    expect(await failureOf(connection)).toMatchObject({ code: 'Unreachable' })
    expect(await failureOf({ ...connection, host: 'no-such-host.invalid' })).toMatchObject({ code: 'Unreachable' })
  })

  test('because the server is of another engine ends with WrongEngine', async () => {
    const { redis, clickhouse } = useStack()
    const other = { username: 'postgres', password: PASSWORD, database: 'postgres', tls: 'off' } as const
    expect(await failureOf({ ...other, host: redis.host, port: redis.port })).toMatchObject({ code: 'WrongEngine' })
    expect(await failureOf({ ...other, host: clickhouse.host, port: clickhouse.port })).toMatchObject({
      code: 'WrongEngine',
    })
    expect(await failureOf(await hanging('HTTP/1.1 400 Bad Request\r\n\r\n'))).toMatchObject({ code: 'WrongEngine' })
  })

  test('because the server speaks no TLS ends with Unreachable', async () => {
    expect(await failureOf({ ...useStack().postgres, tls: 'verify' })).toMatchObject({ code: 'Unreachable' })
  })

  test('because user, password or database are wrong says so, and never the password', async () => {
    const { postgres: admin } = useStack()
    const failures = [
      await failureOf({ ...admin, password: PASSWORD }),
      await failureOf({ ...admin, username: 'no "such" user', password: PASSWORD }),
      await failureOf({ ...admin, database: 'no "such" database' }),
    ]
    expect(failures.map(({ code }) => code)).toEqual(['AuthenticationFailed', 'AuthenticationFailed', 'SecretInvalid'])
    for (const { message } of failures) {
      expect(message).not.toContain(PASSWORD)
      expect(message).toContain('connection Secret')
    }
  })

  test('because the signal is aborted gives up at once and leaves the pool usable', async () => {
    const admin = await freshPostgres()
    const session = postgres.connect(admin, { ...OPTIONS, maxConnections: 1 })
    await expect(session.observe('all', AbortSignal.abort())).rejects.toMatchObject({ code: 'Timeout' })
    await expect(session.observe('all', AbortSignal.timeout(1))).rejects.toMatchObject({ code: 'Timeout' })
    expect(await session.health(signal)).toMatchObject({ accessControl: true })
    await session.close()
  })
})

describe('a session with Postgres', () => {
  test('tells version, size, tables and connections of the shard in one go', async () => {
    const { session, tenant } = await freshShard('Schema')
    await make(session, tenant('acme', { files: [sqlFile('1', 'CREATE TABLE a (id int); CREATE TABLE b (id int);')] }))
    const health = await session.health(signal)
    expect(health).toMatchObject({ accessControl: true, tables: 2, version: expect.stringMatching(/^\d+\.\d+$/) })
    expect(health.sizeBytes).toBeGreaterThan(1_000_000)
    expect(health.connections).toBeGreaterThan(0)
    expect(health.latencyMs).toBeGreaterThanOrEqual(0)
  })

  test('lacking a privilege says which, and changes nothing', async () => {
    const admin = await freshPostgres()
    const username = `weak_${freshSuffix()}`
    await byHand(admin, `CREATE ROLE ${username} LOGIN PASSWORD '${username}'`)
    const shard = await freshShard('Schema')
    const session = postgres.connect({ ...admin, username, password: username }, OPTIONS)
    const wish = shard.tenant('acme')
    const changes = await planOf(session, wish)
    const { done, failed } = await session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    await session.close()
    await byHand(admin, `DROP ROLE ${username}`)
    expect(done).toEqual([])
    expect(failed?.change.summary).toBe(changes[0]?.summary)
    expect(failed?.error).toMatchObject({ code: 'PermissionDenied' })
    expect(failed?.error.message).toContain('permission denied to create role')
  })

  test('is not troubled when the server ends its idle connections', async () => {
    const { admin, session } = await freshShard('Schema')
    await byHand(
      admin,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
      AND pid <> pg_backend_pid()`,
    )
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await session.health(signal)).toMatchObject({ accessControl: true })
  })

  test('reads fifty tenants with as many queries as one, whole and scoped, and finds nothing to do', async () => {
    const { admin, session, database, tenant } = await freshShard('Row', {
      files: [sqlFile('1', 'CREATE TABLE orders (tenant_id text, note text);')],
    })
    const counted = async (scope: 'all' | readonly string[]): Promise<number> => {
      let queries = 0
      await session.observe(scope, signal)
      await withReader(admin, (read) =>
        observe(
          (text, values) => {
            queries++
            return read(text, values)
          },
          async () => undefined,
          scope,
        ),
      )
      return queries
    }
    const first = tenant('tenant-0')
    await make(session, first)
    const before = { whole: await counted('all'), scoped: await counted(first.scope) }
    expect(before.whole).toBeLessThanOrEqual(10)
    const wishes: Wish[] = [database, first]
    for (let n = 1; n < 50; n++) wishes.push(tenant(`tenant-${n}`))
    await Promise.all(
      [0, 1, 2, 3].map(async (lane) => {
        for (const wish of wishes.filter((_, n) => n > 1 && n % 4 === lane)) await make(session, wish)
      }),
    )
    expect({ whole: await counted('all'), scoped: await counted(wishes.flatMap(({ scope }) => scope)) }).toEqual(before)
    const whole = await session.observe('all', signal)
    for (const { owner, wanted } of wishes) expect(postgres.diff(owner, wanted, whole)).toEqual([])
  })
})

async function withReader<T>(connection: Connection, use: (read: Read) => Promise<T>): Promise<T> {
  const { Client } = await import('pg')
  const { host, port, username: user, password, database } = connection
  const client = new Client({ host, port, user, password, database, pipeline: true })
  await client.connect()
  try {
    return await use(async (text, values = []) => (await client.query(text, [...values])).rows)
  } finally {
    await client.end()
  }
}

describe('a login of a tenant', () => {
  test('takes its password, which is kept as a verifier of 4096 iterations, and keeps it while nothing changes', async () => {
    const { admin, session, tenant } = await freshShard('Schema')
    const wish = tenant('acme')
    await make(session, wish)
    const stored = `SELECT rolpassword FROM pg_authid WHERE rolname = ${escapeLiteral(wish.login)}`
    const [before] = await byHand(admin, stored)
    expect(JSON.stringify(before)).toContain('SCRAM-SHA-256$4096:')
    expect(await byHand(asTenant(admin, wish), 'SELECT current_user AS me')).toEqual([{ me: wish.login }])
    await byHand(admin, `ALTER ROLE "${wish.login}" CONNECTION LIMIT 3`)
    await make(session, wish)
    expect(await byHand(admin, stored)).toEqual([before])
  })

  test('gets its new password, and the old one stops working', async () => {
    const { admin, session, tenant } = await freshShard('Schema')
    const old = tenant('acme')
    await make(session, old)
    const renewed = { ...tenant('acme'), owner: old.owner }
    const plan = await make(session, renewed)
    expect(plan.map(({ summary }) => summary)).toEqual([
      `alter role ${old.login}: password, mark`,
      `alter role ${old.name}_ro_a: password, mark`,
    ])
    await byHand(asTenant(admin, renewed), 'SELECT 1')
    await expect(byHand(asTenant(admin, old), 'SELECT 1')).rejects.toThrow('password authentication failed')
  })

  test('has the settings and the connection limit that were asked for', async () => {
    const { admin, session, tenant } = await freshShard('Schema')
    const wish = tenant('acme', { limits: { connections: 2, statementTimeoutMs: 1_500 } })
    await make(session, wish)
    const settings = `SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS statement,
      current_setting('lock_timeout') AS lock, current_setting('idle_in_transaction_session_timeout') AS idle`
    const own = asTenant(admin, wish)
    expect(await byHand(own, settings)).toEqual([
      { path: `${wish.name}, public`, statement: '1500ms', lock: '5s', idle: '1min' },
    ])
    const third = byHand(own, 'SELECT pg_sleep(1)')
    const second = byHand(own, 'SELECT pg_sleep(1)')
    await new Promise((resolve) => setTimeout(resolve, 400))
    await expect(byHand(own, 'SELECT 1')).rejects.toThrow('too many connections for role')
    await Promise.all([second, third])
  })

  test('of a suspended tenant is shut out, its sessions end and its data stays; all comes back', async () => {
    const { admin, session, tenant } = await freshShard('Schema')
    const wish = tenant('acme', { files: [sqlFile('1', 'CREATE TABLE a (id int); INSERT INTO a VALUES (1);')] })
    await make(session, wish)
    const sleeping = byHand(asTenant(admin, wish), 'SELECT pg_sleep(60)').catch((error: Error) => error.message)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const suspended = tenant('acme', { ...wish.input, suspended: true })
    const plan = await make(session, wish, suspended.wanted)
    expect(plan.map(({ risk }) => risk)).toContain('disruptive')
    expect(await sleeping).toContain('terminating connection')
    await expect(byHand(asTenant(admin, wish), 'SELECT 1')).rejects.toThrow('is not permitted to log in')
    await expect.poll(() => planOf(session, wish, suspended.wanted)).toEqual([])
    await make(session, wish)
    expect(await byHand(asTenant(admin, wish), 'SELECT id FROM a')).toEqual([{ id: 1 }])
  })

  test('is dropped while it is busy, with locks that its schema waits for', async () => {
    const { admin, session, tenant } = await freshShard('Schema')
    const wish = tenant('acme', { files: [sqlFile('1', 'CREATE TABLE a (id int);')] })
    await make(session, wish)
    const busy = byHand(asTenant(admin, wish), 'BEGIN', 'INSERT INTO a VALUES (1)', 'SELECT pg_sleep(60)').catch(
      () => 'ended',
    )
    await new Promise((resolve) => setTimeout(resolve, 300))
    await make(session, wish, [])
    expect(await busy).toBe('ended')
    expect(await planOf(session, wish, [])).toEqual([])
  })

  test('leaves what it came to own to its heir', async () => {
    const { admin, session, tenant } = await freshShard('Schema')
    const wish = tenant('acme')
    await make(session, wish)
    await byHand(admin, `CREATE SCHEMA elsewhere AUTHORIZATION "${wish.login}"`)
    const drops = await planOf(session, wish, [])
    const changes = drops.filter(({ target }) => !target.data)
    expect((await session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)).failed).toBeUndefined()
    const owner = await byHand(
      admin,
      `SELECT nspowner::regrole::text AS owner FROM pg_namespace WHERE nspname = 'elsewhere'`,
    )
    expect(owner).toEqual([{ owner: `${wish.name}_owner` }])
  })
})

describe('two shards on one server', () => {
  test('do not share a tenant: its roles are taken, and nothing is touched', async () => {
    const here = await freshShard('Schema')
    const there = await freshShard('Schema')
    const wish = here.tenant('acme')
    await make(here.session, wish)
    const plan = await planOf(there.session, wish)
    const roles = plan.filter(({ target }) => target.kind === 'Role')
    expect(roles.every(({ blocked }) => blocked?.code === 'Conflict' && !blocked.adoptable)).toBe(true)
    expect(roles[0]?.blocked?.message).toContain(`in database "${here.admin.database}" of the same server`)
    expect(plan.find(({ target }) => target.kind === 'Schema')?.blocked?.adoptable).toBe(false)
    expect(await planOf(there.session, wish, [])).toEqual([])
  })

  test('are not one Database: a second one finds the control schema taken', async () => {
    const here = await freshShard('Schema')
    const second = { ...here.database, owner: { ...here.database.owner, name: 'second' } }
    const plan = await planOf(here.session, second)
    expect(plan.find(({ target }) => target.kind === 'ControlSchema')?.blocked?.message).toMatch(
      /belongs to Database lab\//,
    )
  })
})
