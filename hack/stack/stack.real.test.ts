import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { createClient } from '@clickhouse/client'
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import type { Connection } from '@tenantry/engines/model.ts'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import { type Assets, ensureAssets } from '../assets/assets.ts'
import { isAlive, type ProcessRecord } from './identity.ts'
import { type Crash, type Stack, startStack } from './stack.ts'

const HOLDER = fileURLToPath(new URL('../../test/support/hold-stack.ts', import.meta.url))
const PROGRAMS = [
  'clickhouse',
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'postgres',
  'redis',
]
const log = (): void => undefined
// A folder that nobody else may enter: the harder case for Postgres, which refuses root.
const dir = mkdtempSync(join(tmpdir(), 'tenantry-stack-'))
const lone = mkdtempSync(join(tmpdir(), 'tenantry-stack-'))

afterAll(() => {
  for (const folder of [dir, lone]) rmSync(folder, { recursive: true, force: true })
})

const start = async (folder = dir, assets: Partial<Assets> = {}): Promise<Stack> =>
  startStack({ dir: folder, assets: { ...(await ensureAssets({ log })), ...assets }, log })

const hold = async (): Promise<ChildProcessByStdio<Writable, Readable, null>> => {
  const holder = spawn(process.execPath, [HOLDER, dir], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  return holder
}

const records = (): ProcessRecord[] => JSON.parse(readFileSync(join(dir, 'children.json'), 'utf8'))

test('a stack outlives a killed starter with its data, and leaves no process behind', async () => {
  const holder = await hold()
  const children = records()
  expect(children.map(({ name }) => name).sort()).toEqual(PROGRAMS)
  await expect(start()).rejects.toThrow(`process ${holder.pid} already runs one there`)
  const before = addresses()
  await withKubeconfig((api) => api.createNamespace({ body: { metadata: { name: 'kept' } } }))
  await write(before)

  holder.kill('SIGKILL')
  await expect.poll(() => children.filter(isAlive), { timeout: 30_000 }).toEqual([])

  const stack = await start()
  expect(statSync(stack.kubeconfig).mode & 0o777).toBe(0o600)
  expect([stack.postgres, stack.redis, stack.clickhouse]).toEqual([before.postgres, before.redis, before.clickhouse])
  await withKubeconfig((api) => api.readNamespace({ name: 'kept' }))
  await expectWritten(stack)
  const again = records()
  await stack.stop()
  expect(again.filter(isAlive)).toEqual([])
})

test('ends what a starter left that could not end its children itself', async () => {
  const holder = await hold()
  const children = records()
  for (const pid of reapersOf(holder.pid ?? 0)) process.kill(pid, 'SIGKILL')
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  expect(children.filter(isAlive).length).toBeGreaterThan(0)
  const stack = await start()
  expect(children.filter(isAlive)).toEqual([])
  await stack.stop()
})

test('a crash is reported by name with the end of the log, and loses no data', async () => {
  const stack = await start()
  const crashes: Crash[] = []
  stack.onCrash((crash) => crashes.push(crash))
  for (const { name, pid } of records()) {
    if (['clickhouse', 'postgres', 'redis'].includes(name)) process.kill(pid, 'SIGKILL')
  }
  await expect.poll(() => crashes.map(({ name }) => name).sort()).toEqual(['clickhouse', 'postgres', 'redis'])
  for (const { name, message } of crashes)
    expect(message).toContain(`${name} was ended by SIGKILL. The end of ${stack.logs}`)
  expect(crashes.find(({ name }) => name === 'redis')?.message).toContain('Ready to accept connections')
  await stack.stop()
  const again = await start()
  await expectWritten(again)
  await again.stop()
})

test('a program that does not start is reported by name, and nothing stays behind', async () => {
  await expect(start(lone, { redisServer: '/no/such/redis-server' })).rejects.toThrow(
    /^redis could not be run: .*ENOENT/,
  )
  await expect(start(lone, { redisServer: '/usr/bin/false' })).rejects.toThrow(
    /^redis ended with code 1 before it was ready/,
  )
  const stack = await start(lone)
  await stack.stop()
})

function addresses(): Pick<Stack, 'postgres' | 'redis' | 'clickhouse'> {
  const { ports, secrets } = JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8'))
  const at = (port: number, username: string, password: string): Connection => ({
    ...{ host: '127.0.0.1', port, username, password, tls: 'off' },
  })
  return {
    postgres: { ...at(ports.postgres, 'postgres', secrets.postgres), database: 'postgres' },
    redis: at(ports.redis, 'admin', secrets.redis),
    clickhouse: { ...at(ports.clickhouse, 'default', secrets.clickhouse), database: 'default' },
  }
}

async function withKubeconfig(act: (api: CoreV1Api) => Promise<unknown>): Promise<void> {
  const config = new KubeConfig()
  config.loadFromFile(join(dir, 'kubeconfig'))
  await act(config.makeApiClient(CoreV1Api))
}

async function write(at: Pick<Stack, 'postgres' | 'redis' | 'clickhouse'>): Promise<void> {
  await onPostgres(at.postgres, 'CREATE TABLE kept AS SELECT 42 AS n')
  await onRedis(at.redis, (redis) => redis.set('kept', '42'))
  await onClickHouse(at.clickhouse, 'CREATE TABLE kept ENGINE = MergeTree ORDER BY n AS SELECT 42 AS n')
}

async function expectWritten(at: Pick<Stack, 'postgres' | 'redis' | 'clickhouse'>): Promise<void> {
  expect(await onPostgres(at.postgres, 'SELECT n FROM kept')).toEqual([{ n: 42 }])
  expect(await onRedis(at.redis, (redis) => redis.get('kept'))).toBe('42')
  expect(await onClickHouse(at.clickhouse, 'SELECT n FROM kept')).toEqual([{ n: 42 }])
}

async function onPostgres(at: Connection, statement: string): Promise<unknown[]> {
  const { host, port, username: user, password, database } = at
  const client = new Client({ host, port, user, password, database })
  await client.connect()
  const { rows } = await client.query(statement)
  await client.end()
  return rows
}

async function onRedis<T>(at: Connection, act: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ host: at.host, port: at.port, username: at.username ?? '', password: at.password ?? '' })
  const result = await act(redis)
  // The append-only file is written to disk once a second.
  await redis.call('WAITAOF', '1', '0', '5000').catch(() => undefined)
  redis.disconnect()
  return result
}

async function onClickHouse(at: Connection, query: string): Promise<unknown> {
  const client = createClient({
    url: `http://${at.host}:${at.port}`,
    username: at.username ?? '',
    password: at.password ?? '',
  })
  const result = await client.query({ query, format: 'JSONEachRow' })
  const rows = await result.json()
  await client.close()
  return rows
}

function reapersOf(parent: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,command='], { encoding: 'utf8' }).trim().split('\n')
  const processes = lines.map((line) => line.trim().split(/\s+/))
  const reapers = processes.filter(
    ([, ppid, ...command]) => ppid === String(parent) && command.includes('tenantry-reaper'),
  )
  return reapers.map(([pid]) => Number(pid))
}
