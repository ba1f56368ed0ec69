import { AppError } from '@tenantry/crds/errors.ts'
import type { Client, PoolClient } from 'pg'
import type { Connection, ProbeLogin, Proof } from '../model.ts'
import { sqlState, toAppError } from './errors.ts'
import { REACHABLE, ROW_STATE, SURVEY, TENANT_OF } from './probe-queries.ts'
import type { Server } from './session.ts'
import { name as quoted } from './sql/quote.ts'

const DENIED = '42501'

/** What there is to try, as the administrative user sees it. */
interface Survey {
  readonly database: string
  readonly ownDatabase: boolean
  readonly hasRegistry: boolean
  /** Qualified and quoted names of other tenants' tables, one each. */
  readonly tables: readonly string[]
  /** Owner roles of others. */
  readonly roles: readonly string[]
}

interface RowTenant {
  readonly tenantId: string
  readonly shared: string
}

/** Findings, and what was tried. */
interface Report {
  readonly leaks: readonly string[]
  readonly tried: readonly string[]
}

/**
 * Logs in as the tenant, over a connection that is closed whatever happens, and tries to get at what is not its own. What a
 * login could reach beyond that, the server tells the administrator. A login that cannot log in is an AppError, not a verdict.
 */
export async function probe(
  server: Server,
  connection: Connection,
  login: ProbeLogin,
  signal: AbortSignal,
): Promise<Proof> {
  const doing = `prove isolation of ${login.login}`
  const { survey, row, reachable } = await server.pooled(doing, signal, (client) => look(client, login, doing))
  const identity = { username: login.login, password: login.password }
  const database = survey.ownDatabase ? login.name : survey.database
  const reports = await server.single({ ...identity, database }, doing, signal, async (client) => [
    ...(await Promise.all([tryIdentity(client, login), tryTables(client, survey)])),
    await tryRoles(client, survey),
    reachReport(reachable ?? (await reach(client, login, survey.database))),
    ...(row ? [await tryRows(client, row)] : []),
  ])
  const outside = survey.ownDatabase
    ? [await tryDatabase(server, { ...connection, ...identity }, survey.database, signal)]
    : []
  return verdict([...reports, ...outside])
}

interface Looked {
  readonly survey: Survey
  readonly row: RowTenant | undefined
  /** Undefined for a tenant with a database of its own: only from inside it can be told what is reached there. */
  readonly reachable: Reachable | undefined
}

async function look(client: PoolClient, login: ProbeLogin, doing: string): Promise<Looked> {
  const [survey] = (await client.query<Survey>(SURVEY, [login.name])).rows
  if (!survey) throw new AppError('Internal', `${doing}: the server answered no row`)
  const rows = survey.hasRegistry ? (await client.query<RowTenant>(TENANT_OF, [login.name])).rows : []
  const [row] = rows
  const own = { name: row?.shared ?? login.name, login: login.login }
  return { survey, row, reachable: survey.ownDatabase ? undefined : await reach(client, own, survey.database) }
}

function verdict(reports: readonly Report[]): Proof {
  const leaks = reports.flatMap((report) => report.leaks)
  if (leaks.length > 0) return { verdict: 'leaking', evidence: `a real login ${leaks.join('; and it ')}` }
  const tried = reports.flatMap((report) => report.tried)
  return { verdict: 'isolated', evidence: `a real login ${tried.join(', ')}` }
}

/** Resolves to the SQLSTATE of a refused statement; undefined when it was carried out. */
async function refusal(client: Client, statement: string): Promise<string | undefined> {
  try {
    await client.query(statement)
    return undefined
  } catch (error) {
    const state = sqlState(error)
    if (state === undefined) throw error
    return state
  }
}

/** Settings of a role may make every session of it another's. */
async function tryIdentity(client: Client, { login }: ProbeLogin): Promise<Report> {
  const [row] = (await client.query<{ acting: string }>('SELECT current_user::text AS acting')).rows
  return { leaks: row?.acting === login ? [] : [`acts as role ${row?.acting}`], tried: [] }
}

async function tryTables(client: Client, { tables }: Survey): Promise<Report> {
  const refused = await Promise.all(tables.map((table) => refusal(client, `SELECT FROM ${table} LIMIT 1`)))
  const leaks = tables
    .filter((_, i) => refused[i] === undefined)
    .map((table) => `read table ${table} of another tenant`)
  return { leaks, tried: [tables.length > 0 ? "was refused other tenants' tables" : 'found no other tenant to read'] }
}

/** An attempt that works is undone in the same message, so that the next begins as the login again. */
async function tryRoles(client: Client, { roles }: Survey): Promise<Report> {
  const refused = await Promise.all(roles.map((role) => refusal(client, `SET ROLE ${quoted(role)}; RESET ROLE`)))
  const leaks = roles.filter((_, i) => refused[i] === undefined).map((role) => `became role ${role}`)
  return { leaks, tried: roles.length > 0 ? ["was refused other tenants' roles"] : [] }
}

interface Reachable {
  readonly superuser: boolean
  readonly schemas: readonly string[]
  readonly tables: readonly string[]
  readonly databases: readonly string[]
}

async function reach(
  client: Client | PoolClient,
  { name, login }: Pick<ProbeLogin, 'name' | 'login'>,
  shardDatabase: string,
): Promise<Reachable | undefined> {
  return (await client.query<Reachable>(REACHABLE, [name, shardDatabase, login])).rows[0]
}

function reachReport(row: Reachable | undefined): Report {
  const list = (what: string, names: readonly string[]): readonly string[] =>
    names.length > 0 ? [`has privileges on ${what} outside its own: ${names.slice(0, 3).join(', ')}`] : []
  return {
    leaks: [
      ...(row?.superuser ? ['is exempt from all checks'] : []),
      ...list('schemas', row?.schemas ?? []),
      ...list('tables', row?.tables ?? []),
      ...list('databases', row?.databases ?? []),
    ],
    tried: ['has no privilege on any schema, table or database but its own'],
  }
}

interface RowState {
  readonly tenantId: string | null
  readonly tables: readonly string[]
  readonly unprotected: readonly string[]
}

/** Row security must be active, other tenants' rows invisible, and the tenant's id not its own to choose. */
async function tryRows(client: Client, { tenantId, shared }: RowTenant): Promise<Report> {
  await client.query(`SELECT set_config('tenantry.tenant', 'somebody-else', false)`)
  const [state] = (await client.query<RowState>(ROW_STATE, [shared])).rows
  const leaks = (state?.unprotected ?? []).map((table) => `is under no row security in ${table}`)
  if (state?.tenantId !== tenantId) leaks.push(`is bound to tenant ${state?.tenantId ?? 'none'} instead of ${tenantId}`)
  const tables = state?.tables ?? []
  const others = (table: string): Promise<{ rowCount: number | null }> =>
    client.query(`SELECT FROM ${table} WHERE tenant_id::text IS DISTINCT FROM $1 LIMIT 1`, [tenantId])
  const seen = await Promise.all(tables.map(others))
  leaks.push(
    ...tables.filter((_, i) => seen[i]?.rowCount !== 0).map((table) => `read rows of another tenant in ${table}`),
  )
  return {
    leaks,
    tried: [`could not choose a tenant and saw no row of another in ${tables.length} shared tables`],
  }
}

/** A tenant with a database of its own must not get into the shard's. */
async function tryDatabase(
  server: Server,
  connection: Connection,
  database: string,
  signal: AbortSignal,
): Promise<Report> {
  const tried = ["was refused the shard's database"]
  try {
    await server.single({ ...connection, database }, `enter database "${database}"`, signal, async () => undefined)
    return { leaks: [`entered database ${database}`], tried }
  } catch (error) {
    if (error instanceof Error && sqlState(error.cause) === DENIED) return { leaks: [], tried }
    throw toAppError(error, 'prove isolation')
  }
}
