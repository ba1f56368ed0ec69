import type { Link } from './client.ts'
import type { ScopeParams } from './observe.ts'
import { loginName, roleName } from './resources.ts'
import {
  type FoundAccess,
  type FoundGrant,
  type FoundMembership,
  type FoundPolicy,
  type FoundProfile,
  type FoundQuota,
  type FoundUser,
  groupBy,
} from './snapshot.ts'

export const NO_ACCESS: FoundAccess = {
  users: new Map(),
  roles: new Set(),
  profiles: new Map(),
  quotas: new Map(),
  policies: new Map(),
  grantsTo: new Map(),
  grantsOn: new Map(),
  rolesOf: new Map(),
  membersOf: new Map(),
}

type Read = <T>(what: string, sql: string) => Promise<readonly T[]>

/** Everything about users within the scope, in nine queries. */
export async function observeAccess(link: Link, scope: ScopeParams, signal: AbortSignal): Promise<FoundAccess> {
  const grantees = scope.names.flatMap((n) => [loginName(n, 'ReadWrite'), loginName(n, 'ReadOnly'), roleName(n)])
  const params = { ...scope, grantees }
  const read: Read = (what, sql) => link.rows(sql, { doing: `read ${what}`, signal, params })
  const [users, roles, elements, profiles, quotas, limits, policies, grants, memberships] = await Promise.all([
    readUsers(read),
    read<{ name: string }>('roles', `SELECT name FROM system.roles WHERE ${mine('name')}`),
    readElements(read),
    readProfiles(read),
    readQuotas(read),
    readLimits(read),
    readPolicies(read),
    readGrants(read),
    readMemberships(read),
  ])
  const settingsOf = (kind: 'user' | 'profile'): ReadonlyMap<string, readonly Element[]> =>
    groupBy(
      elements.filter((e) => e.kind === kind),
      (e) => e.name,
    )
  const [userSettings, profileSettings] = [settingsOf('user'), settingsOf('profile')]
  const limitsOf = groupBy(limits, (l) => l.name)
  return {
    users: new Map(users.map((u) => [u.name, { ...toUser(u), settings: printed(userSettings.get(u.name)) }])),
    roles: new Set(roles.map((r) => r.name)),
    profiles: new Map(profiles.map((p) => [p.name, { ...p, settings: printed(profileSettings.get(p.name)) }])),
    quotas: new Map(quotas.map((q) => [q.name, { ...q, limits: (limitsOf.get(q.name) ?? []).map((l) => l.printed) }])),
    policies: groupBy(policies, (p) => p.name),
    grantsTo: groupBy(grants, (g) => g.grantee),
    grantsOn: groupBy(grants, (g) => g.database),
    rolesOf: groupBy(memberships, (m) => m.grantee),
    membersOf: groupBy(memberships, (m) => m.role),
  }
}

/** The logins and roles of the scope, or all. */
function mine(column: string): string {
  return `({all:UInt8} OR ${column} IN {grantees:Array(String)})`
}

interface UserRow {
  readonly name: string
  readonly hostIp: readonly string[]
  readonly otherHosts: number
  readonly allRolesDefault: number
}

function readUsers(read: Read): Promise<readonly UserRow[]> {
  return read<UserRow>(
    'users',
    `SELECT name, host_ip AS hostIp, default_roles_all AND empty(default_roles_except) AS allRolesDefault,
      notEmpty(host_names) OR notEmpty(host_names_regexp) OR notEmpty(host_names_like) AS otherHosts
    FROM system.users WHERE ${mine('name')}`,
  )
}

function toUser({ name, hostIp, otherHosts, allRolesDefault }: UserRow): Omit<FoundUser, 'settings'> {
  const restricted = otherHosts ? 'other' : hostIp.length === 0 ? 'none' : 'other'
  return { name, hosts: hostIp.includes('::/0') ? 'any' : restricted, allRolesDefault: Boolean(allRolesDefault) }
}

interface Element {
  readonly kind: 'user' | 'profile'
  readonly name: string
  readonly printed: string
}

function printed(elements: readonly Element[] | undefined): readonly string[] {
  return (elements ?? []).map((e) => e.printed).toSorted()
}

function readElements(read: Read): Promise<readonly Element[]> {
  return read<Element>(
    'settings',
    `SELECT if(isNull(user_name), 'profile', 'user') AS kind, coalesce(user_name, profile_name, '') AS name,
      if(isNull(setting_name), concat('profile ', ifNull(inherit_profile, '')), concat(
        setting_name, '=', ifNull(value, ''), if(ifNull(toString(writability), '') = 'CONST', ' CONST', ''),
        if(isNull(min), '', concat(' MIN ', min)), if(isNull(max), '', concat(' MAX ', max)))) AS printed
    FROM system.settings_profile_elements
    WHERE isNull(role_name) AND ({all:UInt8} OR user_name IN {grantees:Array(String)}
      OR profile_name IN {names:Array(String)})`,
  )
}

function readProfiles(read: Read): Promise<readonly Omit<FoundProfile, 'settings'>[]> {
  return read('settings profiles', `SELECT name, ${recipients} AS to FROM system.settings_profiles WHERE ${named}`)
}

function readQuotas(read: Read): Promise<readonly Omit<FoundQuota, 'limits'>[]> {
  return read('quotas', `SELECT name, keys, ${recipients} AS to FROM system.quotas WHERE ${named}`)
}

const named = '({all:UInt8} OR name IN {names:Array(String)})'
/** Whom a thing applies to, with everybody as `*`: never what we want. */
const recipients = "if(apply_to_all, arrayConcat(['*'], apply_to_except), apply_to_list)"

function readLimits(read: Read): Promise<readonly { name: string; printed: string }[]> {
  return read(
    'quota limits',
    `SELECT quota_name AS name, concat(toString(duration), ': ', limit.1, '=', toString(limit.2)) AS printed
    FROM system.quota_limits ARRAY JOIN arrayFilter(l -> isNotNull(l.2), [
      ('queries', toFloat64(max_queries)), ('selects', toFloat64(max_query_selects)),
      ('inserts', toFloat64(max_query_inserts)), ('errors', toFloat64(max_errors)),
      ('result_rows', toFloat64(max_result_rows)), ('read_rows', toFloat64(max_read_rows)),
      ('execution_time', toFloat64(max_execution_time))]) AS limit
    WHERE ({all:UInt8} OR quota_name IN {names:Array(String)})`,
  )
}

async function readPolicies(read: Read): Promise<readonly FoundPolicy[]> {
  const rows = await read<Omit<FoundPolicy, 'restrictive' | 'everybody'> & { restrictive: number; everybody: number }>(
    'row policies',
    `SELECT short_name AS name, database, table, ifNull(select_filter, '') AS filter, is_restrictive AS restrictive,
      apply_to_all AS everybody, apply_to_list AS to FROM system.row_policies
    WHERE {all:UInt8} OR short_name IN {names:Array(String)} OR startsWith(database, 'd_')`,
  )
  return rows.map((r) => ({ ...r, restrictive: Boolean(r.restrictive), everybody: Boolean(r.everybody) }))
}

async function readGrants(read: Read): Promise<readonly FoundGrant[]> {
  type Row = Omit<FoundGrant, 'table' | 'irregular'> & { table: string; irregular: number }
  const rows = await read<Row>(
    'grants',
    `SELECT coalesce(user_name, role_name, '') AS grantee, toString(access_type) AS access,
      ifNull(database, '') AS database, ifNull(table, '') AS table,
      isNotNull(column) OR grant_option OR is_partial_revoke AS irregular
    FROM system.grants
    WHERE {all:UInt8} OR grantee IN {grantees:Array(String)} OR system.grants.database IN {names:Array(String)}`,
  )
  return rows.map(({ table, irregular, ...row }) => ({
    ...row,
    ...(table && { table }),
    irregular: Boolean(irregular),
  }))
}

async function readMemberships(read: Read): Promise<readonly FoundMembership[]> {
  const rows = await read<Omit<FoundMembership, 'granteeIsRole'> & { granteeIsRole: number }>(
    'memberships',
    `SELECT coalesce(user_name, role_name, '') AS grantee, isNull(user_name) AS granteeIsRole,
      granted_role_name AS role FROM system.role_grants
    WHERE {all:UInt8} OR grantee IN {grantees:Array(String)} OR granted_role_name IN {grantees:Array(String)}`,
  )
  return rows.map((r) => ({ ...r, granteeIsRole: Boolean(r.granteeIsRole) }))
}
