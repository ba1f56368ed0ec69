import type { Address, Connection, Engine, SessionOptions, TenantInput } from '../model.ts'
import { diff } from './diff.ts'
import { appliedFiles } from './diff-files.ts'
import { isolation } from './isolation.ts'
import { type ChResource, databaseResources, loginName, tenantResources } from './resources.ts'
import { type ChSession, openSession } from './session.ts'
import type { ChSnapshot } from './snapshot.ts'
import { statements } from './statements.ts'

export type { ChResource } from './resources.ts'
export type { ChSnapshot } from './snapshot.ts'

/** The engine's sessions give the rows of its ledger too. */
export interface ClickHouseEngine extends Engine<ChResource, ChSnapshot> {
  connect(connection: Connection, options: SessionOptions): ChSession
}

/**
 * ClickHouse over its HTTP interface, one server per shard (no `ON CLUSTER`). Isolation `Database`: a database per
 * tenant, whose ReadWrite login may do everything inside it. Isolation `Row`: shared tables with `tenant_id` first in
 * the sorting key and a row policy per tenant; because row policies do not bind writers, logins of both kinds only read
 * there, and the platform's own user writes. SQL files must be idempotent, and are refused where they are not: there are no
 * transactions, so a file that was killed halfway, or lost a table, runs again. It counts as applied once its mutations are done
 * and every replica of the server has its tables. Where the server keeps no users (the embedded engine), everything about
 * users is left out and `health`, `isolation` and `probe` say so.
 */
export const clickhouse: ClickHouseEngine = {
  name: 'ClickHouse',
  batchesPerConnection: 4,
  connect: openSession,
  loginName,
  tenantResources,
  databaseResources,
  address,
  secretData,
  diff,
  isolation,
  schemaVersion: (schema, found) => [...appliedFiles(schema, found).keys()].at(-1),
  statements,
}

function address({ isolation: mode, name, shared }: Pick<TenantInput, 'isolation' | 'name' | 'shared'>): Address {
  return { database: mode === 'Row' ? shared : name }
}

/** In Service Binding shape; `uri` is what the official client takes as `url`. */
function secretData(
  { host, port, tls }: Connection,
  { database = '' }: Address,
  { login, password }: { login: string; password: string },
): Readonly<Record<string, string>> {
  const scheme = tls === 'off' ? 'http' : 'https'
  const authority = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  const [user, secret, path] = [login, password, database].map(encodeURIComponent)
  return {
    type: 'clickhouse',
    provider: 'tenantry',
    host,
    port: String(port),
    username: login,
    password,
    database,
    uri: `${scheme}://${user}:${secret}@${authority}:${port}/${path}`,
  }
}
