/** A small platform for integration tests: one Database per engine, with tables, and tenants over all of them. */

import { createClient } from '@clickhouse/client'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { onTestFinished } from 'vitest'
import { type TestOperator, untilCondition } from './operator.ts'
import { freshPostgres, useStack } from './stack.ts'

export const READY = { type: 'Ready', status: 'True' } as const

/** How often the tests' Databases resync: drift made by hand is put right within this. */
export const INTERVAL = '2s'

export interface Platform {
  readonly postgres: Connection
}

/** Makes Databases `oltp`, `cache` and `analytics` (ClickHouse, a database per tenant) and waits until they are ready. */
export async function makePlatform(test: TestOperator): Promise<Platform> {
  const { redis, clickhouse } = useStack()
  const postgres = await freshPostgres()
  await test.applySecret('oltp-s0', postgres)
  await test.applySecret('cache-s0', redis)
  await test.applySecret('analytics-s0', clickhouse)
  await test.applyFiles('oltp-tables', {
    '0001_customers.sql':
      'create table customers (id bigint generated always as identity primary key, name text not null);',
    '0002_orders.sql':
      'create table orders (id bigint primary key, customer bigint references customers, placed timestamptz);',
  })
  await test.applyFiles('analytics-tables', {
    '0001_events.sql': 'CREATE TABLE IF NOT EXISTS events (at DateTime, kind String) ENGINE = MergeTree ORDER BY at;',
  })
  await test.applyDatabase({
    name: 'oltp',
    spec: { engine: 'PostgreSQL', isolation: 'Schema', ...shard('oltp-s0'), ...tables('oltp-tables') },
  })
  await test.applyDatabase({ name: 'cache', spec: { engine: 'Redis', isolation: 'Prefix', ...shard('cache-s0') } })
  await test.applyDatabase({
    name: 'analytics',
    spec: { engine: 'ClickHouse', isolation: 'Database', ...shard('analytics-s0'), ...tables('analytics-tables') },
  })
  for (const name of ['oltp', 'cache', 'analytics']) await untilCondition(test, DATABASES, name, { condition: READY })
  return { postgres }
}

export function shard(secret: string) {
  return { interval: INTERVAL, shards: [{ name: 's0', connectionSecretRef: { name: secret } }] }
}

export function tables(configMap: string) {
  return { schema: { sources: [{ configMapRef: { name: configMap } }] } }
}

/** The spec of a tenant over all three tiers. */
export function everywhere(deletionPolicy: 'Retain' | 'Delete' = 'Delete') {
  return {
    deletionPolicy,
    databases: ['oltp', 'cache', 'analytics'].map((name) => ({ name, databaseRef: { name } })),
  }
}

/** Makes a tenant over all three tiers and waits until it is ready. */
export async function makeTenant(test: TestOperator, name: string, spec = everywhere()): Promise<Tenant> {
  await test.applyTenant({ name, spec })
  return await untilCondition(test, TENANTS, name, { condition: READY })
}

/** What a tenant's status says of one of its databases. */
export function place(tenant: Tenant, name: string) {
  const found = tenant.status?.databases?.find((one) => one.name === name)
  if (!found) throw new Error(`Tenant ${tenant.metadata.name} has no database ${name} in its status`)
  return found
}

type Login = Readonly<Record<string, string>>

/** A connection that is closed when the test ends. */
export async function postgresAs(login: Login | Connection): Promise<Client> {
  const { host, port, password, database } = login
  const client = new Client({ host, port: Number(port), user: login.username, password, database } as object)
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

/** A connection that does not reconnect and is closed when the test ends. */
export async function redisAs(login: Login | Connection): Promise<Redis> {
  const { host, port, username, password } = login
  const options = {
    host,
    port: Number(port),
    username,
    password,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
  }
  const client = new Redis(options as object)
  client.on('error', () => undefined)
  onTestFinished(() => client.disconnect())
  await client.connect()
  return client
}

export function clickhouseAs({ host, port, username, password }: Login | Connection, database?: string) {
  const client = createClient({ url: `http://${host}:${port}`, username, password, database } as object)
  onTestFinished(() => client.close())
  return client
}
