import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Connection } from '@tenantry/engines/model.ts'
import { writePrivate } from './files.ts'
import type { StackState } from './state.ts'
import type { Supervisor } from './supervisor.ts'

const MAIN = fileURLToPath(new URL('./clickhouse/main.ts', import.meta.url))

/** Starts ClickHouse (chdb behind HTTP, in a process of its own); resolves to the only user's connection. */
export async function startClickHouse(
  supervisor: Supervisor,
  { dir, state }: { dir: string; state: StackState },
): Promise<Connection> {
  const folder = join(dir, 'clickhouse')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const config = join(folder, 'config.json')
  const { ports, secrets } = state
  const access = { username: 'default', password: secrets.clickhouse }
  writePrivate(config, JSON.stringify({ data: join(folder, 'data'), port: ports.clickhouse, ...access }))
  supervisor.start({
    name: 'clickhouse',
    command: process.execPath,
    args: [MAIN, config],
    env: { UV_THREADPOOL_SIZE: '8' },
  })
  const authorization = `Basic ${Buffer.from(`${access.username}:${access.password}`).toString('base64')}`
  await supervisor.ready('clickhouse', async () => {
    const response = await fetch(`http://127.0.0.1:${ports.clickhouse}/?query=SELECT%201`, {
      headers: { authorization },
    })
    if (!response.ok) throw new Error(`it answered ${response.status}: ${(await response.text()).slice(0, 500)}`)
  })
  return { host: '127.0.0.1', port: ports.clickhouse, ...access, database: 'default', tls: 'off' }
}
