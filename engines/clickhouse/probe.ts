import { AppError } from '@tenantry/crds/errors.ts'
import type { ProbeLogin, Proof } from '../model.ts'
import type { Link } from './client.ts'
import { CONTROL } from './control.ts'
import { qualified } from './quote.ts'
import { placeOf, rowsId } from './resources.ts'
import { classify, type FoundTable } from './snapshot.ts'

/** Tables of others that are tried at most: a sample, for one refusal is as good as a thousand. */
const SAMPLE = 5

interface Target {
  readonly database: string
  readonly table: string
}

interface Attempt {
  readonly tenant: Link
  readonly signal: AbortSignal
}

/** Logs in as the tenant. In `Row` it counts the rows of others that it sees; in both it tries tables of others. */
export async function probe(admin: Link, tenant: Link, login: ProbeLogin, signal: AbortSignal): Promise<Proof> {
  const attempt: Attempt = { tenant, signal }
  await tenant.rows('SELECT 1', { doing: `log in as ${login.login}`, signal })
  const place = await placeInShared(admin, login.name, signal)
  const visible = place ? await visibleRows(admin, attempt, place) : []
  const others = await tablesOfOthers(admin, login.name, signal)
  const leaks = visible.map((what) => `${login.login} sees ${what}`)
  for (const target of others) {
    if (await canRead(attempt, target)) leaks.push(`${login.login} can read ${target.database}.${target.table}`)
  }
  if (leaks.length > 0) return { verdict: 'leaking', evidence: leaks.join('; ') }
  const counted = place ? 'counted no row of another tenant in the shared tables and ' : ''
  const tried = others.map((o) => `${o.database}.${o.table}`).join(', ')
  return { verdict: 'isolated', evidence: `Logged in as ${login.login}, ${counted}was refused ${tried}.` }
}

interface Place {
  readonly shared: string
  readonly tenantId: string
}

async function visibleRows(admin: Link, attempt: Attempt, { shared, tenantId }: Place): Promise<readonly string[]> {
  const seen: string[] = []
  for (const { database, name } of await sharedTables(admin, shared, attempt.signal)) {
    const rows = await foreignRows(attempt, { database, table: name }, tenantId)
    if (rows > 0) seen.push(`${rows} rows of others in ${database}.${name}`)
  }
  return seen
}

async function placeInShared(admin: Link, base: string, signal: AbortSignal): Promise<Place | undefined> {
  const [row] = await admin.rows<{ last: string }>(
    `SELECT argMax(detail, version) AS last FROM ${CONTROL}.registry WHERE id = {id:String} HAVING count() > 0`,
    { doing: `look up ${base} in the registry`, signal, params: { id: rowsId(base) } },
  )
  return row && placeOf(row.last)
}

async function sharedTables(admin: Link, shared: string, signal: AbortSignal): Promise<readonly FoundTable[]> {
  const tables = await admin.rows<FoundTable>(
    `SELECT database, name, engine, comment, sorting_key AS sortingKey FROM system.tables
    WHERE database = {shared:String}`,
    { doing: `list the tables of ${shared}`, signal, params: { shared } },
  )
  return tables.filter((t) => classify(t) === 'tenant')
}

async function tablesOfOthers(admin: Link, base: string, signal: AbortSignal): Promise<readonly Target[]> {
  const tables = await admin.rows<Target>(
    `SELECT database, any(name) AS table FROM system.tables
    WHERE startsWith(database, 't_') AND database != {base:String} GROUP BY database LIMIT {sample:UInt8}`,
    { doing: 'list tables of others', signal, params: { base, sample: SAMPLE } },
  )
  return [{ database: CONTROL, table: 'registry' }, ...tables]
}

async function foreignRows({ tenant, signal }: Attempt, { database, table }: Target, id: string): Promise<number> {
  try {
    const [row] = await tenant.rows<{ foreign: string }>(
      `SELECT countIf(tenant_id != {id:String}) AS foreign FROM ${qualified(database, table)}`,
      { doing: `count rows of others in ${database}.${table}`, signal, params: { id } },
    )
    return Number(row?.foreign ?? 0)
  } catch (error) {
    // A table that was made after the last reconcile is not granted yet: nothing is seen of it.
    if (error instanceof AppError && error.code === 'PermissionDenied') return 0
    throw error
  }
}

async function canRead({ tenant, signal }: Attempt, { database, table }: Target): Promise<boolean> {
  try {
    await tenant.rows(`SELECT 1 FROM ${qualified(database, table)} LIMIT 1`, {
      doing: `try to read ${database}.${table}`,
      signal,
    })
    return true
  } catch (error) {
    if (error instanceof AppError && error.code === 'PermissionDenied') return false
    throw error
  }
}
