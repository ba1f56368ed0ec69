import type { ChChange } from './compare.ts'
import { dropPolicy, tenantPolicy } from './policies.ts'
import { identifier, literal, qualified } from './quote.ts'
import type { ChResource, Grant, ProfileSpec, QuotaSpec, RoleSpec, UserSpec } from './resources.ts'
import { splitStatements } from './split.ts'

/** sha256 of password + salt, both in hex: all that the server ever gets of a password. */
export interface PasswordHash {
  readonly hash: string
  readonly salt: string
}

const HIDDEN: PasswordHash = { hash: '***', salt: '***' }

/** See `Engine.statements`. What depends on the server at the time of apply is written as a comment. */
export function statements(change: ChChange): readonly string[] {
  const { op, target } = change
  if (op === 'drop') return dropStatements(target)
  switch (target.kind) {
    case 'database':
      return op === 'create' ? [createDatabase(target.spec.base, '…')] : [markDatabase(target.spec.base, '…')]
    case 'file':
      return op === 'alter' && target.spec.file.repair ? [] : previewFile(target.spec.file.body)
    case 'reversal':
      return []
    case 'guard':
      return [`-- row policies that close every table of ${identifier(target.spec.base)} to users without one`]
    case 'rows':
      return [`-- registers ${JSON.stringify(target.spec.tenantId)} in ${identifier(target.spec.shared)}`]
    default:
      return accessStatements(target)
  }
}

/** A file that cannot be split is refused on apply; a preview shows it as it is. */
function previewFile(body: string): readonly string[] {
  try {
    return splitStatements(body)
  } catch {
    return [body]
  }
}

type AccessResource = Extract<ChResource, { kind: 'role' | 'profile' | 'quota' | 'user' }>

/** Statements that bring something about users to what is wanted, whatever is there. Each may be run again. */
export function accessStatements(target: AccessResource, password: PasswordHash = HIDDEN): readonly string[] {
  switch (target.kind) {
    case 'role':
      return roleStatements(target.spec)
    case 'profile':
      return [profileStatement(target.spec)]
    case 'quota':
      return [quotaStatement(target.spec)]
    case 'user':
      return userStatements(target.spec, password)
  }
}

/** Fails where it exists: so what it made is ours, and nobody has to look. */
export function createDatabase(name: string, comment: string): string {
  return `CREATE DATABASE ${identifier(name)} COMMENT ${literal(comment)}`
}

export function markDatabase(name: string, comment: string): string {
  return `ALTER DATABASE ${identifier(name)} MODIFY COMMENT ${literal(comment)}`
}

/** A policy comes before the grant that it narrows. */
function roleStatements(spec: RoleSpec): readonly string[] {
  const { base, name, reach, policies = [], grants = [], revoke = [], strangers = [], revokeRoles = [] } = spec
  const role = identifier(name)
  const shown =
    reach.kind === 'rows'
      ? policies.map((table) => tenantPolicy(base, { shared: reach.shared, name: table }, reach.tenantId, name))
      : []
  return [
    `CREATE ROLE IF NOT EXISTS ${role}`,
    ...shown,
    ...strangers.map((stranger) => `REVOKE ${role} FROM ${identifier(stranger)}`),
    ...revokeRoles.map((other) => `REVOKE ${identifier(other)} FROM ${role}`),
    ...revoke.map((g) => `REVOKE ${printRight(g)} FROM ${role}`),
    ...grants.map((g) => `GRANT ${printRight(g)} TO ${role}`),
  ]
}

function printRight({ access, database, table }: Grant): string {
  if (!database) return `${access} ON *.*`
  return `${access} ON ${table === undefined ? `${identifier(database)}.*` : qualified(database, table)}`
}

function profileStatement({ base, role, settings }: ProfileSpec): string {
  const list = Object.entries(settings).map(([name, value]) => `${name} = ${Number(value)} CONST`)
  return `CREATE SETTINGS PROFILE OR REPLACE ${identifier(base)} SETTINGS ${list.join(', ')} TO ${identifier(role)}`
}

function quotaStatement({ base, role, queriesPerHour }: QuotaSpec): string {
  const limit = `FOR INTERVAL 1 hour MAX queries = ${Math.trunc(queriesPerHour)}`
  return `CREATE QUOTA OR REPLACE ${identifier(base)} KEYED BY user_name ${limit} TO ${identifier(role)}`
}

/**
 * `readonly = 2` lets a reader set what drivers set for each query, but neither write nor change `readonly` itself; the
 * profile's limits are constant for the same reason.
 */
function userStatements(spec: UserSpec, { hash, salt }: PasswordHash): readonly string[] {
  const { login, access, suspended, role, grants, revoke = [], revokeRoles = [] } = spec
  const user = identifier(login)
  const settings = access === 'ReadOnly' ? 'SETTINGS readonly = 2 CONST' : 'SETTINGS NONE'
  const identified = `IDENTIFIED WITH sha256_hash BY ${literal(hash)} SALT ${literal(salt)}`
  const host = suspended ? 'HOST NONE' : 'HOST ANY'
  return [
    `CREATE USER IF NOT EXISTS ${user} ${identified} ${host}`,
    `ALTER USER ${user} ${identified} ${host} ${settings}`,
    ...revokeRoles.map((other) => `REVOKE ${identifier(other)} FROM ${user}`),
    ...revoke.map((g) => `REVOKE ${printRight(g)} FROM ${user}`),
    `GRANT ${identifier(role)} TO ${user}`,
    `ALTER USER ${user} DEFAULT ROLE ALL`,
    ...grants.map((g) => `GRANT ${printRight(g)} TO ${user}`),
    ...(suspended ? [`KILL QUERY WHERE user = ${literal(login)} ASYNC`] : []),
  ]
}

/** Rows and the guard name their tables only when they run: those are comments here. */
export function dropStatements(target: ChResource): readonly string[] {
  const { base } = target.spec
  switch (target.kind) {
    case 'database':
      // The server refuses to drop large tables by default; that this one goes was decided before it came here.
      return [`DROP DATABASE IF EXISTS ${identifier(base)} SYNC SETTINGS max_table_size_to_drop = 0`]
    case 'rows':
      return [`-- deletes tenant_id = ${literal(target.spec.tenantId)} from ${identifier(target.spec.shared)}.*`]
    case 'guard':
      return [`-- drops the row policies that close ${identifier(base)}.*`]
    case 'role': {
      const policies = (target.spec.leftPolicies ?? []).map((p) => dropPolicy(base, p.database, p.table))
      return [...policies, `DROP ROLE IF EXISTS ${identifier(target.spec.name)}`]
    }
    case 'profile':
      return [`DROP SETTINGS PROFILE IF EXISTS ${identifier(base)}`]
    case 'quota':
      return [`DROP QUOTA IF EXISTS ${identifier(base)}`]
    case 'user': {
      const kill = `KILL QUERY WHERE user = ${literal(target.spec.login)} ASYNC`
      return [`DROP USER IF EXISTS ${identifier(target.spec.login)}`, kill]
    }
    case 'reversal':
      return previewFile(target.spec.file.down?.body ?? '')
    case 'file':
      return []
  }
}
