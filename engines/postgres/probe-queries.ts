/** Queries of the isolation probe. A schema's tables are found by what depends on it: there is an index for that. */
import { CONTROL } from './names.ts'

/**
 * As the administrative user. `$1`: base name of the probed tenant. One table each of up to five other tenants, of the few that
 * are looked at: most shards have as many tables as tenants, and one without any must not be searched from end to end.
 */
export const SURVEY = `
SELECT current_database()::text AS database,
  EXISTS (SELECT FROM pg_database WHERE datname = $1) AS "ownDatabase",
  to_regclass('${CONTROL}.tenant') IS NOT NULL AS "hasRegistry",
  ARRAY(SELECT format('%I.%I', s.nspname, t.relname)
    FROM (SELECT n.oid, n.nspname FROM pg_namespace n
      JOIN pg_description d ON d.objoid = n.oid AND d.classoid = 'pg_namespace'::regclass AND d.description LIKE 'tenantry:%'
      WHERE n.nspname LIKE 't\\_%' AND n.nspname <> $1 LIMIT 20) s
    CROSS JOIN LATERAL (SELECT c.relname FROM pg_depend i JOIN pg_class c ON c.oid = i.objid AND c.relkind IN ('r', 'p', 'v')
      WHERE i.refclassid = 'pg_namespace'::regclass AND i.refobjid = s.oid AND i.classid = 'pg_class'::regclass LIMIT 1) t
    LIMIT 5) AS tables,
  ARRAY(SELECT r.rolname::text FROM pg_roles r
    JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass AND d.description LIKE 'tenantry:%'
    WHERE r.rolname LIKE '%\\_owner' AND r.rolname <> $1 || '_owner' LIMIT 2) AS roles`

/** As the administrative user. */
export const TENANT_OF = `SELECT tenant_id AS "tenantId", shared FROM ${CONTROL}.tenant WHERE name = $1`

/**
 * `$1`: the schema the tenant lives in, `$2`: the shard's database, `$3`: the login. The server answers for the login whoever
 * asks: an administrator's connection has the catalogues at hand that a new one of the tenant would have to read, which costs
 * more the more tenants there are. Tables are looked at only in schemas that can be entered, and found by index; extensions'
 * objects are for everybody. A login that does not exist reaches nothing.
 */
export const REACHABLE = `
WITH who AS MATERIALIZED (SELECT oid, rolsuper OR rolbypassrls OR rolcreaterole AS exempt FROM pg_roles WHERE rolname = $3),
reachable AS MATERIALIZED (
  SELECT n.oid, n.nspname, w.oid AS login FROM who w, pg_namespace n
  WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ($1, 'information_schema')
    AND has_schema_privilege(w.oid, n.oid, 'USAGE, CREATE'))
SELECT (SELECT exempt FROM who) AS superuser,
  ARRAY(SELECT nspname::text FROM reachable WHERE nspname NOT IN ('public', '${CONTROL}')
      OR has_schema_privilege(login, oid, 'CREATE') ORDER BY 1) AS schemas,
  ARRAY(SELECT format('%s.%I', c.relnamespace::regnamespace, c.relname) FROM who w, pg_class c
    WHERE c.oid = ANY (ARRAY(SELECT i.objid FROM pg_depend i WHERE i.refclassid = 'pg_namespace'::regclass
        AND i.refobjid = ANY (ARRAY(SELECT oid FROM reachable)) AND i.classid = 'pg_class'::regclass))
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND (has_any_column_privilege(w.oid, c.oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege(w.oid, c.oid, 'DELETE, TRUNCATE'))
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1) AS tables,
  ARRAY(SELECT d.datname::text FROM who w, pg_database d
    WHERE d.datname <> current_database() AND CASE WHEN has_database_privilege(w.oid, d.oid, 'CONNECT')
      THEN d.datname = $2 OR EXISTS (SELECT FROM pg_shdescription c
        WHERE c.objoid = d.oid AND c.classoid = 'pg_database'::regclass AND c.description LIKE 'tenantry:%') ELSE false END
    ORDER BY 1) AS databases`

/** As a tenant of a shared schema, \`$1\`. */
export const ROW_STATE = `
WITH shared AS MATERIALIZED (
  SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
  WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege(c.oid, 'SELECT'))
SELECT ${CONTROL}.tenant_id() AS "tenantId", ARRAY(SELECT name FROM shared ORDER BY 1) AS tables,
  ARRAY(SELECT s.name FROM shared s JOIN pg_class c USING (oid)
    WHERE c.relkind IN ('r', 'p') AND NOT row_security_active(s.oid) ORDER BY 1) AS unprotected`
