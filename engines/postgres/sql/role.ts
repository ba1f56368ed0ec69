import { roleFacts } from '../diff/facts.ts'
import type { Binding, RoleResource, RoleSpec } from '../model.ts'
import { CONTROL } from '../names.ts'
import type { SqlContext } from './context.ts'
import { block, name, text } from './quote.ts'
import type { Topics } from './topics.ts'

/** Making a role, or changing what differs. */
export function roleStatements(context: SqlContext, { spec }: RoleResource, topics: Topics): readonly string[] {
  const attributes = attributeList(context, spec, topics)
  const aside = topics.includes('password') ? keptAside(context, spec) : undefined
  const acts = spec.use === 'owner' || spec.use === 'trusted'
  const steps: readonly (readonly [boolean, () => readonly string[]])[] = [
    [topics.fresh, () => [createRole(spec.name)]],
    [acts && topics.includes('administrator'), () => [administer(spec.name)]],
    [attributes.length > 0, () => [`ALTER ROLE ${name(spec.name)} ${attributes.join(' ')}`]],
    [aside !== undefined, () => [setPassword(spec.name, aside ?? '')]],
    [topics.changed('database settings'), () => [resetLocalSettings(spec.name)]],
    [topics.changed('settings'), () => [`ALTER ROLE ${name(spec.name)} RESET ALL`]],
    [topics.includes('settings'), () => settings(spec)],
    [topics.changed('member of'), () => [leaveAll(spec)]],
    [topics.includes('member of'), () => spec.memberOf.map((group) => join(group, spec.name))],
    [topics.changed('members'), () => [removeStrangers(context, spec)]],
    [true, () => [comment(context, spec, topics.includes('password'))]],
  ]
  return steps.flatMap(([applies, write]) => (applies ? write() : []))
}

function createRole(role: string): string {
  return block(`IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${text(role)}) THEN
  CREATE ROLE ${name(role)} NOLOGIN;
END IF;`)
}

/** Who is no superuser may act for a role only as its member; on Postgres 16 and newer creating it does not suffice. */
function administer(role: string): string {
  return block(`IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
  IF current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE ${text(`GRANT ${name(role)} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE`)};
  ELSE
    EXECUTE ${text(`GRANT ${name(role)} TO CURRENT_USER`)};
  END IF;
END IF;`)
}

const ATTRIBUTES = ['superuser', 'createrole', 'createdb', 'replication', 'bypassrls'] as const

/** Only what differs: a managed server refuses some attributes even when they would not change. */
function attributeList(context: SqlContext, spec: RoleSpec, topics: Topics): readonly string[] {
  const { login } = spec
  const has = (field: string): boolean => (topics.fresh ? login !== undefined : topics.changed(field))
  return [
    ...ATTRIBUTES.filter((field) => topics.changed(field)).map((field) => `NO${field.toUpperCase()}`),
    ...(topics.changed('inherit') ? ['INHERIT'] : []),
    ...(has('login') ? [login?.enabled ? 'LOGIN' : 'NOLOGIN'] : []),
    ...(has('connection limit') ? [`CONNECTION LIMIT ${Math.trunc(login?.connectionLimit ?? -1)}`] : []),
    ...(topics.changed('expiry') ? [`VALID UNTIL 'infinity'`] : []),
    ...(has('password') && !keptAside(context, spec) ? [`PASSWORD ${password(context, spec)}`] : []),
  ]
}

function password(context: SqlContext, { name: role, login }: RoleSpec): string {
  return login ? text(context.verifier(role).verifier) : 'NULL'
}

/** The setting that holds the login's new verifier. */
function keptAside(context: SqlContext, { name: role, login }: RoleSpec): string | undefined {
  return login && context.verifier(role).setting
}

/** ALTER ROLE takes no parameter, and its text is what servers keep in their statistics and logs. */
function setPassword(role: string, setting: string): string {
  return block(`EXECUTE format('ALTER ROLE %I PASSWORD %L', ${text(role)}, current_setting(${text(setting)}));`)
}

function settings({ name: role, login }: RoleSpec): readonly string[] {
  return Object.entries(login?.settings ?? {}).map(
    ([key, value]) => `ALTER ROLE ${name(role)} SET ${name(key)} TO ${settingValue(key, value)}`,
  )
}

/** search_path is a list: in one literal it would be one schema. */
function settingValue(key: string, value: string): string {
  return key === 'search_path' ? value.split(', ').map(text).join(', ') : text(value)
}

function resetLocalSettings(role: string): string {
  return block(`EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', ${text(role)}, current_database());`)
}

export function join(group: string, member: string): string {
  return `GRANT ${name(group)} TO ${name(member)}`
}

/** Revokes memberships whoever granted them. `condition` is over role `g`, member `m` and its comment `c`. */
export function revokeMemberships(condition: string): string {
  return block(
    `FOR x IN SELECT g.rolname AS role, m.rolname AS member, a.grantor::regrole::text AS grantor
  FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
  LEFT JOIN pg_shdescription c ON c.objoid = m.oid AND c.classoid = 'pg_authid'::regclass
  WHERE ${condition}
LOOP
  EXECUTE format('REVOKE %I FROM %I', x.role, x.member)
    || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' GRANTED BY ' || x.grantor ELSE '' END
    || ' CASCADE';
END LOOP;`,
    'x record;',
  )
}

/** The right ones are given again afterwards: they may have lost their rights by WITH INHERIT FALSE. */
function leaveAll({ name: role }: RoleSpec): string {
  return revokeMemberships(`m.rolname = ${text(role)} AND g.rolname NOT LIKE 'tenantry\\_gate\\_%'`)
}

function removeStrangers({ markPrefix }: SqlContext, { name: role }: RoleSpec): string {
  const mark = markPrefix.includes('"kind":"Tenant"') ? markPrefix : 'tenantry:'
  return revokeMemberships(
    `g.rolname = ${text(role)} AND NOT m.rolsuper AND m.rolname <> current_user
    AND NOT starts_with(coalesce(c.description, ''), ${text(mark)})`,
  )
}

function comment(context: SqlContext, spec: RoleSpec, newPassword: boolean): string {
  const verifier = spec.login && newPassword ? context.verifier(spec.name).hash : spec.login?.verifier
  return `COMMENT ON ROLE ${name(spec.name)} IS ${text(context.mark(roleFacts(spec, context.database, verifier)))}`
}

/** Repeatable; a role that is gone has no sessions. */
export function endSessions(role: string): string {
  return block(`PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ${text(role)};`)
}

/** Closes a login before anything that waits for its locks: committed by itself, so that no client gets back in. */
export function closeLogin(role: string): string {
  return block(`IF EXISTS (SELECT FROM pg_roles WHERE rolname = ${text(role)}) THEN
  ALTER ROLE ${name(role)} NOLOGIN;
END IF;`)
}

/**
 * Whatever the role owns goes to its heir, so that a login that is dropped takes no data with it. An owner has no heir: it is
 * data, and dropped with what it owns.
 */
export function dropRole(role: string, heir: string | undefined): string {
  const bequeath =
    heir === undefined
      ? ''
      : `IF EXISTS (SELECT FROM pg_roles WHERE rolname = ${text(heir)}) THEN
    EXECUTE ${text(`REASSIGN OWNED BY ${name(role)} TO ${name(heir)}`)};
  END IF;`
  return block(`IF EXISTS (SELECT FROM pg_roles WHERE rolname = ${text(role)}
    AND shobj_description(oid, 'pg_authid') LIKE 'tenantry:%') THEN
  ${actAs(role)}
  ${bequeath}
  EXECUTE ${text(`DROP OWNED BY ${name(role)}`)};
  EXECUTE ${text(`DROP ROLE ${name(role)}`)};
END IF;`)
}

/** The same grant as `administer`, within a block. */
function actAs(role: string): string {
  return `IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE ${text(`GRANT ${name(role)} TO CURRENT_USER`)}
      || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
  END IF;`
}

export function bindingStatements({ mark }: SqlContext, { spec }: Binding): readonly string[] {
  const values = [spec.login, spec.tenantId, mark()].map(text).join(', ')
  return [
    `INSERT INTO ${CONTROL}.binding (login, tenant_id, mark) VALUES (${values})
ON CONFLICT (login) DO UPDATE SET tenant_id = excluded.tenant_id, mark = excluded.mark`,
  ]
}

export function dropBinding({ spec }: Binding): string {
  return block(`IF to_regclass('${CONTROL}.binding') IS NOT NULL THEN
  DELETE FROM ${CONTROL}.binding WHERE login = ${text(spec.login)};
END IF;`)
}
