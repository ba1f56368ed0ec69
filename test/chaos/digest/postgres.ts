import { gateName } from '@tenantry/engines/postgres/names.ts'
import { withPostgres } from '../lab.ts'
import type { Stage } from '../lifecycles/life.ts'
import type { Entry } from './digest.ts'

const BASE = `substring(%s from '^([td]_[a-z0-9_]+?_[0-9a-f]{8})')`
const base = (column: string): string => BASE.replace('%s', column)

const ROLES = `
SELECT r.rolname::text AS id, to_jsonb(x) AS value FROM pg_roles r CROSS JOIN LATERAL (
  SELECT r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolinherit, r.rolbypassrls, r.rolconnlimit,
    r.rolvaliduntil < 'infinity' AS expires, shobj_description(r.oid, 'pg_authid') AS mark,
    (SELECT rolpassword IS NOT NULL FROM pg_authid a WHERE a.oid = r.oid) AS "hasPassword",
    ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting s WHERE s.setrole = r.oid) AS settings,
    ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) AS "memberOf"
) x WHERE ${base('r.rolname')} = ANY($1) OR shobj_description(r.oid, 'pg_authid') LIKE '%"' || $2 || '"%' OR r.rolname = ANY($3)`

const INSIDE = `
WITH spaces AS (SELECT * FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'chaos_audit'))
SELECT 'schema ' || nspname AS id, jsonb_build_object('owner', pg_get_userbyid(nspowner), 'acl', nspacl::text[],
  'mark', obj_description(oid, 'pg_namespace')) AS value FROM spaces
UNION ALL
SELECT 'relation ' || nspname || '.' || relname, jsonb_build_object('kind', relkind::text, 'owner', pg_get_userbyid(relowner),
  'acl', relacl::text[], 'rls', relrowsecurity, 'forced', relforcerowsecurity)
FROM pg_class c JOIN spaces n ON n.oid = c.relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'i')
UNION ALL
SELECT 'function ' || nspname || '.' || proname, jsonb_build_object('owner', pg_get_userbyid(proowner), 'acl', proacl::text[])
FROM pg_proc p JOIN spaces n ON n.oid = p.pronamespace WHERE nspname = 'tenantry'
UNION ALL
SELECT 'default ' || pg_get_userbyid(defaclrole) || ' ' || coalesce(defaclnamespace::regnamespace::text, '') || ' ' || defaclobjtype::text,
  jsonb_build_object('acl', defaclacl::text[]) FROM pg_default_acl
UNION ALL
SELECT 'policy ' || polrelid::regclass || ' ' || polname, jsonb_build_object('using', pg_get_expr(polqual, polrelid),
  'check', pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
UNION ALL
SELECT 'extension ' || extname, 'null' FROM pg_extension
UNION ALL
SELECT 'rows ' || nspname || '.' || relname,
  to_jsonb(query_to_xml(format('SELECT * FROM %I.%I', nspname, relname), false, true, '')::text)
FROM pg_class c JOIN spaces n ON n.oid = c.relnamespace WHERE relkind = 'r' AND nspname NOT IN ('tenantry', 'tenantry_fence')`

const LEDGER = `SELECT 'ledger ' || schema || ' ' || version AS id, jsonb_agg(jsonb_build_object('name', name, 'checksum', checksum,
  'event', event) ORDER BY seq) AS value FROM tenantry.migration WHERE event <> 'fail' GROUP BY schema, version`
const REGISTRY = `SELECT 'tenant ' || name AS id, to_jsonb(t) - 'name' AS value FROM tenantry.tenant t
UNION ALL SELECT 'binding ' || login, to_jsonb(b) - 'login' FROM tenantry.binding b`

interface Row {
  readonly id: string
  readonly value: unknown
}

/** Roles of the run and everything in its databases, those that tenants have of their own among them. */
export async function digestPostgres(stage: Stage): Promise<readonly Entry[]> {
  const { lab, names, made } = stage
  const bases = names.bases()
  const gates = [...made, ...bases].map(gateName)
  const roles = await lab.postgres.query<Row>(ROLES, [bases, names.run, gates])
  const found = await lab.postgres.query<{ name: string; value: unknown }>(
    `SELECT datname::text AS name, jsonb_build_object('owner', pg_get_userbyid(datdba), 'acl', datacl::text[], 'open', datallowconn,
       'mark', shobj_description(oid, 'pg_database')) AS value FROM pg_database WHERE datname = ANY($1)`,
    [[...made, ...bases]],
  )
  const databases = found.rows.map(({ name, value }): Entry => [`postgres database ${name}`, value])
  const inside = await Promise.all(found.rows.map(({ name }) => digestDatabase(stage, name)))
  return [...roles.rows.map(({ id, value }): Entry => [`postgres role ${id}`, value]), ...databases, ...inside.flat()]
}

async function digestDatabase({ lab }: Stage, database: string): Promise<readonly Entry[]> {
  return await withPostgres({ ...lab.servers.postgres, database }, async (client) => {
    const { rows } = await client.query<Row>(INSIDE)
    const has = (table: string): boolean => rows.some(({ id }) => id === `relation tenantry.${table}`)
    if (has('migration')) rows.push(...(await client.query<Row>(LEDGER)).rows)
    if (has('tenant') && has('binding')) rows.push(...(await client.query<Row>(REGISTRY)).rows)
    return rows.map(({ id, value }): Entry => [`postgres ${database} ${id}`, value])
  })
}

/** What was created and dropped in the run's databases, as `create table x` → how often. */
export async function countPostgres({ lab, made }: Stage): Promise<readonly string[]> {
  const list = await Promise.all(
    [...made].map((database) =>
      withPostgres({ ...lab.servers.postgres, database }, async (client) => {
        const { rows } = await client.query<{ op: string; type: string; identity: string }>(
          'SELECT * FROM chaos_audit.log',
        )
        return rows.map(({ op, type, identity }) => `${op} ${type} ${database} ${identity}`)
      }),
    ),
  )
  return list.flat()
}
