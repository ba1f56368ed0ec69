import { AppError } from '@tenantry/crds/errors.ts'
import { decodeMark } from '../mark.ts'
import type { Scope } from '../model.ts'
import { mapInSlices, Slices } from '../slices.ts'
import type { Call, Link } from './client.ts'
import { CONTROL } from './control.ts'
import { isMissing } from './errors.ts'
import { NO_ACCESS, observeAccess } from './observe-access.ts'
import { type ClusterRow, type ReplicaSet, replicaSets } from './replicas.ts'
import {
  type ChSnapshot,
  type FoundDatabase,
  type FoundEntry,
  type FoundFile,
  type FoundTable,
  groupBy,
  indexOwned,
} from './snapshot.ts'

/** The oldest server on which an ownership mark can be changed (`ALTER DATABASE … MODIFY COMMENT`). */
const MINIMUM = [25, 3] as const

export interface Greeting {
  readonly version: string
  readonly user: string
  /** The answer took this long, in milliseconds. */
  readonly latencyMs: number
  readonly noAccessControl: string | undefined
  readonly replicaSets: readonly ReplicaSet[]
}

/** Parameters of every query below: `all`, or the objects of the given base names. */
export interface ScopeParams extends Record<string, unknown> {
  readonly all: 0 | 1
  readonly names: readonly string[]
}

/** Names travel in the URL of a request: for more of them than this, reading everything is cheaper as well. */
const MAX_NAMES = 50

export function scopeParams(scope: Scope): ScopeParams {
  return scope === 'all' || scope.length > MAX_NAMES ? { all: 1, names: [] } : { all: 0, names: scope }
}

/** The first round trip of everything: bounded by the connect timeout, it tells a wrong server from a slow one. */
export async function greet(link: Link, call: Call): Promise<Greeting> {
  const started = performance.now()
  const [row] = await link.rows<{ version: string; user: string; writable: number; clusters: readonly ClusterRow[] }>(
    `SELECT version() AS version, currentUser() AS user,
      (SELECT groupArray(CAST((cluster, shard_num, replica_num, host_name, port, is_local),
        'Tuple(cluster String, shard UInt32, replica UInt32, host String, port UInt16, local Bool)'))
        FROM system.clusters) AS clusters,
      (SELECT count() FROM system.user_directories WHERE type NOT IN ('users_xml', 'ldap')) > 0 AS writable`,
    call,
  )
  const latencyMs = performance.now() - started
  if (!row?.version) throw new AppError('WrongEngine', `${call.doing}: the answer is not that of a ClickHouse server`)
  requireVersion(row.version, call.doing)
  const noAccessControl = row.writable ? await lackingRight(link, call) : NO_STORAGE
  return { version: row.version, user: row.user, latencyMs, noAccessControl, replicaSets: replicaSets(row.clusters) }
}

const NO_STORAGE =
  'This server has no writable storage for users (system.user_directories), so it cannot keep tenants apart: everybody who reaches it reads everything.'
const NO_RIGHT =
  'The administrative user may not manage users (access_management), so no user, role or row policy can be made.'

async function lackingRight(link: Link, call: Call): Promise<string | undefined> {
  const [row] = await link.rows<{ result: number }>(
    'CHECK GRANT CREATE USER, CREATE ROLE, CREATE ROW POLICY, CREATE QUOTA, CREATE SETTINGS PROFILE, SHOW ACCESS ON *.*',
    call,
  )
  return row && Number(Object.values(row)[0]) === 1 ? undefined : NO_RIGHT
}

function requireVersion(version: string, doing: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])) return
  const oldest = MINIMUM.join('.')
  throw new AppError(
    'UnsupportedVersion',
    `${doing}: the server runs ClickHouse ${version}, the oldest supported is ${oldest}; upgrade it`,
  )
}

/** Reads the shard. Shared databases (`d_…`) are always read: a tenant's rights depend on the tables in them. */
export async function observe(link: Link, scope: Scope, greeting: Greeting, signal: AbortSignal): Promise<ChSnapshot> {
  const params = scopeParams(scope)
  const [found, access] = await Promise.all([
    readParts(link, { doing: 'read databases, tables and what is known of them', signal, params }),
    greeting.noAccessControl === undefined ? observeAccess(link, params, signal) : NO_ACCESS,
  ])
  const databases = await mapInSlices(found.databases, toDatabase)
  const entries = await mapInSlices(await lastOf(found.registry, ([id]) => id), toEntry)
  const tables = await mapInSlices(found.tables, toTable)
  const files = await mapInSlices(await lastOf(found.ledger, fileKey), toFile)
  return {
    admin: greeting.user,
    noAccessControl: greeting.noAccessControl,
    databases: new Map(databases.map((d) => [d.name, d])),
    tables: groupBy(tables, (t) => t.database),
    registry: new Map(entries.map((e) => [e.id, e])),
    ledger: groupBy(files, (f) => f.database),
    access,
    owned: indexOwned(databases, entries),
  }
}

/** Columns in the order of the query; 64-bit numbers and lists are text in it. */
type Row = readonly string[]

function toDatabase([name = '', comment = '', uuid = '']: Row): FoundDatabase {
  return { name, comment, uuid }
}

function toTable([database = '', name = '', engine = '', comment = '', sortingKey = '']: Row): FoundTable {
  return { database, name, engine, comment, sortingKey }
}

function toEntry([id = '', base = '', rawMark = '', detail = '']: Row): FoundEntry {
  return { id, base, detail, mark: decodeMark(rawMark), rawMark }
}

function toFile([database = '', uuid = '', version = '', checksum = '', made = '[]', dropped = '[]']: Row): FoundFile {
  return { database, uuid, version, checksum, made: JSON.parse(made), dropped: JSON.parse(dropped) }
}

function fileKey([database, uuid, version]: Row): string {
  return JSON.stringify([database, uuid, version])
}

/** Of rows of the same key, the one whose last column, a whole number, is the greatest. */
async function lastOf(rows: readonly Row[], keyOf: (row: Row) => string | undefined): Promise<readonly Row[]> {
  const last = new Map<string | undefined, Row>()
  const slices = new Slices()
  for (const row of rows) {
    const key = keyOf(row)
    const other = last.get(key)
    if (!other || BigInt(row.at(-1) ?? 0) >= BigInt(other.at(-1) ?? 0)) last.set(key, row)
    if (slices.isOver) await slices.next()
  }
  return [...last.values()]
}

type Part = 'databases' | 'tables' | 'registry' | 'ledger'
type Parts = Readonly<Record<Part, readonly Row[]>>

/** The server's own tables; always there. */
function ofServer(scope: ScopeParams): string {
  return `SELECT 'databases' AS part, [name, comment, toString(uuid)] AS row FROM system.databases
  WHERE ${within(scope, 'name', 'and shared')}
  UNION ALL
  SELECT 'tables', [database, name, engine, comment, sorting_key] FROM system.tables
  WHERE database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA', '${CONTROL}')
    AND ${within(scope, 'database', 'and shared')}`
}

/**
 * Rows as they are, older ones too: there are few of them, and having the server pick the last would cost it more than all
 * the rest of the query.
 */
function ofControl(scope: ScopeParams): string {
  return `SELECT 'registry', [id, base, mark, detail, toString(version)] FROM ${CONTROL}.registry
  WHERE ${within(scope, 'base')}
  UNION ALL
  SELECT 'ledger', [database, toString(database_uuid), version, checksum, toJSONString(made), toJSONString(dropped), toString(seq)]
  FROM ${CONTROL}.ledger WHERE done AND ${within(scope, 'database', 'and shared')}`
}

function within({ all }: ScopeParams, column: string, shared?: 'and shared'): string {
  if (all) return '1'
  const named = `${column} IN {names:Array(String)}`
  return shared ? `(${named} OR startsWith(${column}, 'd_'))` : named
}

/** All in one query: most of what a query costs the server does not depend on what it reads. */
async function readParts(link: Link, { params, ...rest }: Call & { readonly params: ScopeParams }): Promise<Parts> {
  const call = params.all ? rest : { ...rest, params: { names: params.names } }
  const read = (sql: string) => link.rows<{ part: Part; row: Row }>(sql, call)
  const rows = await read(`${ofServer(params)} UNION ALL ${ofControl(params)}`).catch((error: unknown) => {
    // Before the first apply, and after somebody dropped it, there is no control database: nothing is known then.
    if (isMissing(error)) return read(ofServer(params))
    throw error
  })
  const parts: Record<Part, Row[]> = { databases: [], tables: [], registry: [], ledger: [] }
  for (const { part, row } of rows) parts[part].push(row)
  return parts
}
