/** Redis servers of a test's own, to restart, fill and break; imported by tests only. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Connection, Session } from '@tenantry/engines/model.ts'
import { Redis } from 'ioredis'
import { expect, onTestFinished } from 'vitest'
import { useStack } from '../../test/support/stack.ts'
import { redis } from './engine.ts'
import type { RedisResource, RedisSnapshot } from './model.ts'

export const OPTIONS = { installation: 'server', connectTimeoutMs: 2_000, statementTimeoutMs: 5_000, maxConnections: 3 }

/** A Redis server of a test's own, that it may restart, fill and break. */
export interface OwnServer {
  readonly connection: Connection
  readonly admin: Redis
  readonly dir: string
  readonly session: Session<RedisResource, RedisSnapshot>
  readonly restart: () => Promise<void>
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Starts one with further configuration lines, where DIR stands for its folder, and an administrator with a password unless it is null. */
export async function ownServer(extra = '', password: string | null = 'root'): Promise<OwnServer> {
  const dir = await mkdtemp(join(tmpdir(), 'tenantry-redis-'))
  const port = await freePort()
  const auth = password === null || extra.includes('aclfile') ? '' : `requirepass ${password}\n`
  const config = `bind 127.0.0.1\nport ${port}\ndir ${dir}\nsave ""\n${auth}${extra.replaceAll('DIR', dir)}\n`
  await writeFile(join(dir, 'redis.conf'), config)
  await writeFile(join(dir, 'users.acl'), 'user default on >root ~* &* +@all\n')
  const executable = await executablePath()
  let child: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (!child || child.exitCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }
  const start = async (): Promise<void> => {
    child = spawn(executable, [join(dir, 'redis.conf')], { stdio: 'ignore' })
    await expect.poll(() => answers(port), { timeout: 20_000 }).toBe(true)
  }
  onTestFinished(async () => {
    await stop()
    await rm(dir, { recursive: true, force: true })
  })
  await start()
  const connection: Connection = { host: '127.0.0.1', port, tls: 'off', ...(password !== null && { password }) }
  const admin = new Redis({
    port,
    ...(password !== null && { password }),
    lazyConnect: true,
    enableReadyCheck: false,
  })
  admin.on('error', () => undefined)
  const session = redis.connect(connection, OPTIONS)
  onTestFinished(async () => {
    await session.close()
    admin.disconnect()
  })
  return { connection, admin, dir, session, restart: () => stop().then(start) }
}

async function executablePath(): Promise<string> {
  const { host, port, username = '', password = '' } = useStack().redis
  const shared = new Redis({ host, port, username, password })
  const info = await shared.info('server')
  shared.disconnect()
  return /executable:(\S+)/.exec(info)?.[1] ?? 'redis-server'
}

async function answers(port: number): Promise<boolean> {
  const client = new Redis({ port, protocol: 2, lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null })
  client.on('error', () => undefined)
  const alive = await client.connect().then(
    () => true,
    () => false,
  )
  client.disconnect()
  return alive
}
