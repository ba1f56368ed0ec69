/**
 * Which ClickHouse the tests use: the embedded stack's, or any real server named by CLICKHOUSE_URL, for example
 * `CLICKHOUSE_URL=http://default:secret@127.0.0.1:8123 npm run unit -- engines/clickhouse`. What needs a server that keeps
 * users is registered only where CLICKHOUSE_URL is set (`onRealServer`).
 */
import { createClient } from '@clickhouse/client'
import { freshSuffix, useStack } from '../../../test/support/stack.ts'
import type { Connection, Owner, SessionOptions } from '../../model.ts'
import { databaseName, type NamespacedName, objectName, tenantId } from '../../names.ts'

export const onRealServer = process.env.CLICKHOUSE_URL !== undefined

export function serverUnderTest(): Connection {
  const address = process.env.CLICKHOUSE_URL
  if (address === undefined) return useStack().clickhouse
  const url = new URL(address)
  return {
    host: url.hostname,
    port: Number(url.port || (url.protocol === 'https:' ? 8443 : 8123)),
    username: decodeURIComponent(url.username || 'default'),
    password: decodeURIComponent(url.password),
    tls: url.protocol === 'https:' ? 'verify' : 'off',
  }
}

export const OPTIONS: SessionOptions = {
  installation: 'test-installation',
  connectTimeoutMs: 10_000,
  statementTimeoutMs: 60_000,
  maxConnections: 4,
}

/** A raw client of the test's own, beside the engine. */
export interface Raw {
  rows<T>(sql: string, params?: Record<string, unknown>): Promise<T[]>
  count(sql: string, params?: Record<string, unknown>): Promise<number>
  run(sql: string): Promise<void>
  close(): Promise<void>
}

export function rawClient({ host, port, username, password, tls }: Connection): Raw {
  const client = createClient({
    url: `${tls === 'off' ? 'http' : 'https'}://${host}:${port}`,
    username: username ?? 'default',
    password: password ?? '',
    clickhouse_settings: { mutations_sync: '2', lightweight_deletes_sync: '2', async_insert: 0 },
  })
  const rows = async <T>(query: string, query_params: Record<string, unknown> = {}): Promise<T[]> =>
    (await client.query({ query, query_params, format: 'JSONEachRow' })).json<T>()
  return {
    rows,
    count: async (sql, params) => Number(Object.values((await rows<Record<string, string>>(sql, params))[0] ?? {})[0]),
    run: async (query) => {
      await client.command({ query })
    },
    close: () => client.close(),
  }
}

/** What a name may be made of at its worst: 253 characters, quotes of all kinds, backslashes, unicode. */
export const HOSTILE = `o'Brien"; DROP DATABASE default -- \`x\` \\' \\ $$ {a:String} ü 漢 🐘 `.padEnd(253, `\\'"\``)

export interface TestTenant {
  readonly owner: Owner
  readonly name: string
  readonly tenantId: string
  readonly shared: string
}

/** A tenant that no other test has, with the names that the operator would give it. */
export function freshTenant(name = 'acme', database = 'olap'): TestTenant {
  const tenant: NamespacedName = { namespace: `ns-${freshSuffix()}`, name }
  const place: NamespacedName = { namespace: tenant.namespace, name: database }
  const owner: Owner = { ...tenant, installation: OPTIONS.installation, kind: 'Tenant', uid: crypto.randomUUID() }
  return { owner, name: objectName(tenant, place), tenantId: tenantId(tenant), shared: databaseName(place) }
}
