/** What nobody who verifies a fleet could be spared: to list it, and to read every shard once. Nothing is kept or compared. */
import { createClient } from '@clickhouse/client'
import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import { CONTROL as CLICKHOUSE_CONTROL } from '@tenantry/engines/clickhouse/control.ts'
import type { Connection, EngineName } from '@tenantry/engines/model.ts'
import { CONTROL } from '@tenantry/engines/postgres/names.ts'
import { REGISTRY } from '@tenantry/engines/redis/model.ts'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { type Api, secretsPath, tenantsPath } from '../api.ts'
import { NAMESPACE } from '../platform.ts'
import type { FleetTier } from './tiers.ts'

export interface Floor {
  /** Seconds for the pages of all Tenants and their Secrets. */
  readonly list: number
  /** Seconds for the catalogues of all shards, read side by side through bare drivers. */
  readonly read: number
}

export async function measureFloor(api: Api, tiers: readonly FleetTier[]): Promise<Floor> {
  const list = await secondsOf(() =>
    Promise.all([
      page(api, tenantsPath(NAMESPACE), ''),
      page(api, secretsPath(NAMESPACE), `&labelSelector=${encodeURIComponent(`${LABEL_MANAGED}=true`)}`),
    ]),
  )
  const read = await secondsOf(() =>
    Promise.all(tiers.flatMap(({ engine, shards }) => shards.map((connection) => READ[engine](connection)))),
  )
  return { list, read }
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return (performance.now() - begin) / 1000
}

async function page(api: Api, path: string, selector: string): Promise<void> {
  let next = ''
  do {
    const text = await api.send('GET', `${path}?limit=500${selector}${next && `&continue=${next}`}`)
    next = /"continue":"([^"]*)"/.exec(text.slice(0, 4096))?.[1] ?? ''
  } while (next !== '')
}

const READ: Readonly<Record<EngineName, (connection: Connection) => Promise<void>>> = {
  PostgreSQL: readPostgres,
  Redis: readRedis,
  ClickHouse: readClickHouse,
}

const CATALOGUES = [
  `SELECT r.*, shobj_description(r.oid, 'pg_authid') FROM pg_roles r WHERE rolname LIKE 't\\_%'`,
  'SELECT * FROM pg_auth_members',
  `SELECT n.*, obj_description(n.oid, 'pg_namespace') FROM pg_namespace n WHERE nspname LIKE 't\\_%'`,
  'SELECT * FROM pg_default_acl',
  `SELECT c.relnamespace, c.relkind, c.relowner, c.relacl::text, count(*) FROM pg_class c JOIN pg_namespace n
   ON n.oid = c.relnamespace WHERE n.nspname LIKE 't\\_%' GROUP BY 1, 2, 3, 4`,
  `SELECT schema, version, event, checksum FROM ${CONTROL}.migration`,
]

async function readPostgres({ host, port, username, password, database }: Connection): Promise<void> {
  const client = new Client({ host, port, user: username, password, database } as object)
  await client.connect()
  for (const catalogue of CATALOGUES) await client.query(catalogue)
  await client.end()
}

async function readRedis({ host, port, username, password }: Connection): Promise<void> {
  const redis = new Redis({ host, port, ...(username && { username }), ...(password && { password }) })
  await redis.acl('LIST')
  await redis.hgetall(REGISTRY)
  redis.disconnect()
}

async function readClickHouse({ host, port, username = 'default', password = '' }: Connection): Promise<void> {
  const client = createClient({ url: `http://${host}:${port}`, username, password })
  for (const table of ['system.databases', 'system.tables', `${CLICKHOUSE_CONTROL}.registry`]) {
    const rows = await client.query({ query: `SELECT * FROM ${table}`, format: 'JSONCompactEachRow' })
    await rows.text()
  }
  await client.close()
}
