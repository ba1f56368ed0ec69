import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import type { Connection } from '@tenantry/engines/model.ts'
import { describe, expect, onTestFinished, test } from 'vitest'
import { useStack } from '../../test/support/stack.ts'
import { redis } from './engine.ts'
import { freePort, OPTIONS, ownServer } from './own-server.ts'

const signal = AbortSignal.timeout(600_000)

describe('a server that cannot be used', () => {
  const failing = (connection: Connection, abort = signal): Promise<unknown> => {
    const session = redis.connect(connection, { ...OPTIONS, connectTimeoutMs: 500, statementTimeoutMs: 500 })
    onTestFinished(() => session.close())
    return session.health(abort)
  }
  const listening = async (server: Server): Promise<Connection> => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, tls: 'off' }
  }

  test('a wrong password, no password and an unknown user are told as such, without the password', async () => {
    const { connection } = await ownServer()
    await expect(failing({ ...connection, password: 'hush' })).rejects.toMatchObject({ code: 'AuthenticationFailed' })
    await expect(failing({ ...connection, password: 'hush' })).rejects.not.toThrow(/hush/)
    await expect(failing({ ...connection, username: 'x' })).rejects.toMatchObject({ code: 'AuthenticationFailed' })
    const { password: _, ...without } = connection
    await expect(failing(without)).rejects.toMatchObject({ code: 'AuthenticationFailed' })
  })

  test('an administrative user without the right to manage users is told as such', async () => {
    const { connection, admin } = await ownServer()
    await admin.call('ACL', 'SETUSER', 'weak', 'on', '>weak', '~*', '+@all', '-acl')
    const session = redis.connect({ ...connection, username: 'weak', password: 'weak' }, OPTIONS)
    onTestFinished(() => session.close())
    await expect(session.observe('all', signal)).rejects.toMatchObject({ code: 'PermissionDenied' })
  })

  test('a server that has no connection left is told as such', async () => {
    const { connection, admin } = await ownServer()
    await admin.config('SET', 'maxclients', '1')
    await expect(failing(connection)).rejects.toMatchObject({ code: 'TooManyConnections' })
  })

  test('a host that accepts and stays silent is a timeout', async () => {
    const connection = await listening(createServer(() => undefined))
    await expect(failing({ ...connection, password: 'hush' })).rejects.toMatchObject({ code: 'Timeout' })
    await expect(failing(connection)).rejects.toMatchObject({ code: 'Timeout' })
  })

  test('a server that stops answering is a timeout, and the session works again when it does', async () => {
    const { session, admin } = await ownServer()
    await session.health(signal)
    await admin.client('PAUSE', 1_000, 'ALL')
    await expect(session.health(AbortSignal.timeout(300))).rejects.toMatchObject({ code: 'Timeout' })
    expect(await session.health(signal)).toMatchObject({ accessControl: true })
  })

  test('a closed port and an unknown host are unreachable', async () => {
    await expect(failing({ host: '127.0.0.1', port: await freePort(), tls: 'off' })).rejects.toMatchObject({
      code: 'Unreachable',
    })
    await expect(failing({ host: 'nowhere.invalid', port: 1, tls: 'off' })).rejects.toMatchObject({
      code: 'Unreachable',
    })
  })

  test('a PostgreSQL server and an HTTP server are another engine', async () => {
    const { postgres, clickhouse } = useStack()
    await expect(failing({ ...postgres, password: 'x' })).rejects.toMatchObject({ code: 'WrongEngine' })
    await expect(failing({ host: clickhouse.host, port: clickhouse.port, tls: 'off' })).rejects.toMatchObject({
      code: 'WrongEngine',
    })
    const http = await listening(createHttpServer((_, response) => response.end('hello')))
    await expect(failing(http)).rejects.toMatchObject({ code: 'WrongEngine' })
  })

  test('a server that closes without a word is unreachable, not another engine', async () => {
    const connection = await listening(createServer((socket) => socket.destroy()))
    await expect(failing(connection)).rejects.toMatchObject({ code: 'Unreachable' })
  })

  test('TLS asked of a server that speaks none fails in time', async () => {
    const { connection } = await ownServer()
    await expect(failing({ ...connection, tls: 'verify' })).rejects.toMatchObject({
      code: expect.stringMatching(/Unreachable|Timeout/),
    })
  })
})
