import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Connection } from '@tenantry/engines/model.ts'
import { Redis } from 'ioredis'
import type { Assets } from '../assets/assets.ts'
import { readIfThere, writePrivate } from './files.ts'
import type { StackState } from './state.ts'
import type { Supervisor } from './supervisor.ts'

interface Options {
  readonly dir: string
  readonly assets: Assets
  readonly state: StackState
  readonly fresh: boolean
}

/** Starts Redis with an ACL file (`ACL SAVE` works); resolves to the administrator's connection. The default user is off. */
export async function startRedis(supervisor: Supervisor, { dir, assets, state, fresh }: Options): Promise<Connection> {
  const folder = join(dir, 'redis')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const users = join(folder, 'users.acl')
  if (readIfThere(users) === undefined) {
    const hash = createHash('sha256').update(state.secrets.redis).digest('hex')
    writePrivate(users, `user default off resetpass -@all\nuser admin on #${hash} ~* &* +@all\n`)
  }
  const config = join(folder, 'redis.conf')
  writePrivate(config, configuration({ folder, users, port: state.ports.redis, durable: !fresh }))
  supervisor.start({ name: 'redis', command: assets.redisServer, args: [config] })
  const connection = {
    host: '127.0.0.1',
    port: state.ports.redis,
    username: 'admin',
    password: state.secrets.redis,
    tls: 'off',
  } as const
  await supervisor.ready('redis', () => ping(connection))
  return connection
}

function configuration(options: { folder: string; users: string; port: number; durable: boolean }): string {
  return `bind 127.0.0.1
port ${options.port}
dir ${JSON.stringify(options.folder)}
aclfile ${JSON.stringify(options.users)}
appendonly ${options.durable ? 'yes' : 'no'}
save ""
maxmemory-policy noeviction
set-proc-title no
daemonize no
`
}

async function ping({ host, port, username, password }: Connection): Promise<void> {
  const client = new Redis({
    host,
    port,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 5000,
    retryStrategy: () => null,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.ping()
  } finally {
    client.disconnect()
  }
}
