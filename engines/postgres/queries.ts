/**
 * The catalogue queries of an observation. Each reads the whole shard or one scope in one round trip: `$1` is an array of names,
 * or for the whole shard the pattern that names of ours match. A scope is found by indexes alone, so that it costs the same
 * among ten tenants and among ten thousand.
 */
import { appliedQuery, firstAppliedQuery, IS_FIRST } from './migrate/ledger.ts'
import { IS_CURRENT } from './migrate/ledger-schema.ts'
import { CONTROL } from './names.ts'

/** `comment` is not looked at in a scope. */
const chosen = (whole: boolean, name: string, comment: string): string =>
  whole ? `(${comment} LIKE 'tenantry:%' OR ${name} ~ $1)` : `${name} = ANY($1::text[])`

const relation = (name: string): string => `to_regclass('${CONTROL}.${name}')`

/** The control schema as one JSON object; null without one. */
const control = `
SELECT jsonb_build_object('comment', obj_description(n.oid, 'pg_namespace'),
  'acl', coalesce(n.nspacl, acldefault('n', n.nspowner))::text[],
  'complete', num_nulls(${['migration', 'tenant', 'binding'].map(relation).join(', ')}) = 0 AND ${IS_CURRENT},
  'tablesClosed', NOT EXISTS (SELECT FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid IN (${['migration', 'tenant', 'binding'].map(relation).join(', ')}) AND a.grantee <> c.relowner),
  'functionBody', p.prosrc, 'functionSafe', coalesce(p.prosecdef AND p.provolatile = 's'
    AND p.proconfig = ARRAY['search_path=pg_catalog'] AND p.proowner = n.nspowner, false),
  'functionAcl', coalesce(p.proacl, acldefault('f', p.proowner))::text[])
FROM pg_namespace n LEFT JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = 'tenant_id' AND p.pronargs = 0
WHERE n.nspname = '${CONTROL}' `

/** What of the server every look needs. */
const BASICS = `
SELECT current_setting('server_version_num')::int AS version, current_user::text AS admin, current_database()::text AS database,
  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
  has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS "readsVerifiers",
  CASE WHEN ${relation('migration')} IS NULL THEN 'none' WHEN ${IS_FIRST} THEN 'first' ELSE 'current' END AS ledger,
  num_nulls(${relation('binding')}, ${relation('tenant')}) = 0 AS "hasRegistry"`

/** One row without parameters: with what a Database has on the shard, or with as little of it as tenants of their own schemas need. */
export const serverQuery = (withDatabase: boolean): string =>
  withDatabase
    ? `${BASICS},
  (SELECT coalesce(datacl, acldefault('d', datdba))::text[] FROM pg_database WHERE datname = current_database()) AS "databaseAcl",
  (SELECT coalesce(nspacl, acldefault('n', nspowner))::text[] FROM pg_namespace WHERE nspname = 'public') AS "publicAcl",
  (SELECT coalesce(jsonb_object_agg(extname, extnamespace::regnamespace::text), '{}') FROM pg_extension) AS extensions,
  (${control}) AS control`
    : `${BASICS}, '{}'::text[] AS "databaseAcl", NULL AS "publicAcl", NULL AS control,
  (SELECT coalesce(jsonb_object_agg(extname, extnamespace::regnamespace::text), '{}') FROM pg_extension) AS extensions`

/** Looked up by index for each row: the statistics of catalogues that just grew lead joins astray. */
const COMMENT = `(SELECT c.description FROM pg_shdescription c WHERE c.objoid = r.oid AND c.classoid = 'pg_authid'::regclass)`
const HERE = '(SELECT oid FROM pg_database WHERE datname = current_database())'
const settings = (database: string): string =>
  `coalesce((SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setdatabase = ${database} AND s.setrole = r.oid), '{}')`

const VERIFIER = `CASE WHEN r.rolpassword IS NULL THEN '' ELSE encode(sha256(convert_to(r.rolpassword, 'UTF8')), 'hex') END`

/** Roles; with the sha256 of their stored verifiers where pg_authid can be read. */
export const rolesQuery = (whole: boolean, readsVerifiers: boolean): string => `
SELECT r.rolname::text AS name, r.rolcanlogin AS "canLogin", r.rolinherit AS inherit, r.rolconnlimit AS "connectionLimit",
  coalesce(r.rolvaliduntil < 'infinity', false) AS expires,
  jsonb_build_object('superuser', r.rolsuper, 'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb,
    'replication', r.rolreplication, 'bypassrls', r.rolbypassrls) AS attributes,
  ${COMMENT} AS comment, ${settings('0')} AS settings, ${settings(HERE)} AS "localSettings",
  coalesce(a.sessions, 0) AS sessions, ${readsVerifiers ? VERIFIER : 'NULL'} AS "verifierHash"
FROM ${readsVerifiers ? 'pg_authid' : 'pg_roles'} r
LEFT JOIN (SELECT usesysid, count(*)::int AS sessions FROM pg_stat_get_activity(NULL) GROUP BY 1) a ON a.usesysid = r.oid
WHERE ${chosen(whole, 'r.rolname', COMMENT)}`

/**
 * Memberships of our roles, and members of those that `$3` names (null: of all). Large groups, which are the gate (`$2`) and the
 * groups of a shared schema, have a member for each tenant: of theirs only members without a mark are read.
 */
export const membershipsQuery = (whole: boolean): string => {
  const among = (list: string): string =>
    whole ? `IN (SELECT oid FROM ${list})` : `= ANY (ARRAY(SELECT oid FROM ${list}))`
  const unmarked = `NOT ((pg_get_userbyid(x.roleid) = $2 OR pg_get_userbyid(x.roleid) LIKE 'd\\_%')
    AND coalesce(shobj_description(x.member, 'pg_authid'), '') LIKE 'tenantry:%')`
  // Of a condition with OR the planner makes a look at all memberships: two lists, without what is in both, it finds by index.
  const chosenOnes = whole
    ? `SELECT * FROM pg_auth_members x WHERE x.member ${among('ours')} OR (x.roleid ${among('groups')} AND ${unmarked})`
    : `SELECT * FROM pg_auth_members x WHERE x.member ${among('ours')}
    UNION ALL SELECT * FROM pg_auth_members x WHERE x.roleid ${among('groups')} AND NOT x.member ${among('ours')} AND ${unmarked}`
  return `
WITH ours AS MATERIALIZED (SELECT r.oid, r.rolname FROM pg_roles r WHERE ${chosen(whole, 'r.rolname', COMMENT)}),
  groups AS MATERIALIZED (SELECT oid FROM ours WHERE rolname = ANY($3::text[]) OR $3 IS NULL)
SELECT pg_get_userbyid(x.roleid)::text AS role, pg_get_userbyid(x.member)::text AS member,
  (SELECT rolsuper FROM pg_roles m WHERE m.oid = x.member) AS "bySuperuser",
  coalesce((to_jsonb(x) ->> 'inherit_option')::boolean, true) AS inherit,
  coalesce((to_jsonb(x) ->> 'set_option')::boolean, true) AS set
FROM (${chosenOnes}) x`
}

const schemas = (whole: boolean): string => `
  SELECT n.oid, n.nspname, n.nspowner, n.nspacl, c.description FROM pg_namespace n
  LEFT JOIN pg_description c ON c.objoid = n.oid AND c.classoid = 'pg_namespace'::regclass
  WHERE n.nspname <> '${CONTROL}' AND ${chosen(whole, 'n.nspname', 'c.description')}`

export const schemasQuery = (whole: boolean): string => `
SELECT nspname::text AS name, pg_get_userbyid(nspowner)::text AS owner, description AS comment,
  coalesce(nspacl, acldefault('n', nspowner))::text[] AS acl
FROM (${schemas(whole)}) s`

/** What is in schema `o`: there is no index on a relation's schema, but there is one on what depends on the schema. */
const content = (whole: boolean, catalogue: 'pg_class' | 'pg_proc', column: string): string =>
  whole
    ? `JOIN ${catalogue} c ON c.${column} = o.oid`
    : `JOIN pg_depend i ON i.refclassid = 'pg_namespace'::regclass AND i.refobjid = o.oid AND i.classid = '${catalogue}'::regclass
  JOIN ${catalogue} c ON c.oid = i.objid AND c.${column} = o.oid`

/** Objects grouped by owner and ACL, so that a schema costs a few rows however many tables it has. */
export const objectsQuery = (whole: boolean): string => `
WITH ours AS MATERIALIZED (${schemas(whole)})
SELECT o.nspname::text AS schema, CASE WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END AS kind,
  pg_get_userbyid(c.relowner)::text AS owner, c.relacl::text[] AS acl, count(*)::int AS count
FROM ours o ${content(whole, 'pg_class', 'relnamespace')}
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
GROUP BY 1, 2, c.relowner, c.relacl::text[]
UNION ALL
SELECT o.nspname::text, 'function', pg_get_userbyid(c.proowner)::text,
  coalesce(c.proacl, acldefault('f', c.proowner))::text[], count(*)::int
FROM ours o ${content(whole, 'pg_proc', 'pronamespace')}
WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY 1, 2, c.proowner, coalesce(c.proacl, acldefault('f', c.proowner))::text[]`

export const defaultsQuery = (whole: boolean): string => `
SELECT pg_get_userbyid(d.defaclrole)::text AS role, d.defaclobjtype::text AS type, d.defaclacl::text[] AS acl,
  coalesce((SELECT n.nspname FROM pg_namespace n WHERE n.oid = d.defaclnamespace), '')::text AS schema
FROM pg_default_acl d
WHERE d.defaclrole ${whole ? 'IN (' : '= ANY (ARRAY('}SELECT r.oid FROM pg_roles r WHERE ${chosen(whole, 'r.rolname', COMMENT)}${whole ? ')' : '))'}`

/** One row for each distinct history: most tenants have the same. `$1`: schemas, or null for all. */
export const ledgerQuery = (current: boolean): string => `
WITH histories AS (
  SELECT schema, array_agg(version || ' ' || checksum ORDER BY length(version), version) AS files
  FROM (${(current ? appliedQuery : firstAppliedQuery)('(schema = ANY($1::text[]) OR $1 IS NULL)')}) a GROUP BY schema)
SELECT files, array_agg(schema) AS schemas FROM histories GROUP BY files`

/** Rows of the registry: tenants by base name (`$1`), bindings by login (`$2`); null for all. */
export const REGISTRY = `
SELECT 'tenant' AS kind, name, tenant_id AS "tenantId", shared, mark AS comment FROM ${CONTROL}.tenant
WHERE name = ANY($1::text[]) OR $1 IS NULL
UNION ALL
SELECT 'binding', login::text, tenant_id, '', mark FROM ${CONTROL}.binding WHERE login = ANY($2::text[]) OR $2 IS NULL`

/** Tables of shared schemas, one by one: there are few, and each is judged by itself. */
export const sharedTablesQuery = (whole: boolean): string => `
WITH ours AS MATERIALIZED (${schemas(whole)} AND n.nspname LIKE 'd\\_%')
SELECT o.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
  c.relrowsecurity AS "rowSecurity", c.relforcerowsecurity AS forced, c.relacl::text[] AS acl,
  coalesce(obj_description(c.oid, 'pg_class'), '') LIKE '%tenantry:reference%' AS reference,
  (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
    AND NOT a.attisdropped) AS "tenantType",
  (SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.polname, 'permissive', p.polpermissive, 'command', p.polcmd,
      'toPublic', p.polroles = '{0}', 'using', pg_get_expr(p.polqual, p.polrelid),
      'check', pg_get_expr(p.polwithcheck, p.polrelid)) ORDER BY p.polname), '[]')
    FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
FROM ours o ${content(whole, 'pg_class', 'relnamespace')}
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY 1, 2`

export const databasesQuery = (whole: boolean): string => `
SELECT d.datname::text AS name, pg_get_userbyid(d.datdba)::text AS owner, c.description AS comment, d.datallowconn AS open,
  coalesce(d.datacl, acldefault('d', d.datdba))::text[] AS acl
FROM pg_database d LEFT JOIN pg_shdescription c ON c.objoid = d.oid AND c.classoid = 'pg_database'::regclass
WHERE ${chosen(whole, 'd.datname', 'c.description')}`
