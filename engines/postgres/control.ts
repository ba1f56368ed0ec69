import { escapeIdentifier, escapeLiteral } from 'pg'
import { ledgerStatements } from './migrate/ledger-schema.ts'
import { CONTROL } from './names.ts'

/** Raised with every change of the definitions below, so that older shards are brought up to date. */
export const CONTROL_VERSION = '2'

/**
 * The body of tenantry.tenant_id(). A bound login always gets its own id. Only a login without a binding that is a member of
 * the trusted role may choose one. `session_user`, since `current_user` is the function's owner; '' is what a setting reads
 * after the transaction that set it.
 */
export function tenantIdBody(trusted: string): string {
  return `
  SELECT coalesce(
    (SELECT b.tenant_id FROM tenantry.binding b WHERE b.login = session_user),
    (SELECT nullif(current_setting('tenantry.tenant', true), '') FROM pg_catalog.pg_roles r
      WHERE r.rolname = ${escapeLiteral(trusted)} AND pg_has_role(session_user, r.oid, 'MEMBER')))
`
}

/** Everything in schema tenantry. Repeatable; run as the administrative user, who owns it. */
export function controlStatements(gate: string, trusted: string): readonly string[] {
  const group = escapeIdentifier(gate)
  return [
    ...ledgerStatements(),
    `CREATE TABLE IF NOT EXISTS ${CONTROL}.tenant (
  name text PRIMARY KEY,
  tenant_id text NOT NULL,
  shared text NOT NULL,
  mark text NOT NULL
)`,
    `CREATE TABLE IF NOT EXISTS ${CONTROL}.binding (
  login name PRIMARY KEY,
  tenant_id text NOT NULL,
  mark text NOT NULL
)`,
    `CREATE OR REPLACE FUNCTION ${CONTROL}.tenant_id() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path TO 'pg_catalog'
AS ${escapeLiteral(tenantIdBody(trusted))}`,
    `REVOKE ALL ON FUNCTION ${CONTROL}.tenant_id() FROM PUBLIC`,
    `GRANT EXECUTE ON FUNCTION ${CONTROL}.tenant_id() TO ${group}`,
    closeControl(gate),
    `GRANT USAGE ON SCHEMA ${CONTROL} TO ${group}`,
  ]
}

/** Takes the schema and its tables from everybody but the owner: only the gate may call the function. */
function closeControl(gate: string): string {
  const body = `
DECLARE g text;
BEGIN
  FOR g IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
    FROM (SELECT nspacl AS acl, nspowner AS owner FROM pg_namespace WHERE nspname = '${CONTROL}'
      UNION ALL SELECT relacl, relowner FROM pg_class WHERE relnamespace = '${CONTROL}'::regnamespace) o,
      aclexplode(o.acl) a
    WHERE a.grantee <> o.owner AND (a.grantee = 0 OR pg_get_userbyid(a.grantee) <> ${escapeLiteral(gate)})
  LOOP
    EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA ${CONTROL} FROM ' || g || ' CASCADE';
    EXECUTE 'REVOKE ALL ON SCHEMA ${CONTROL} FROM ' || g || ' CASCADE';
  END LOOP;
  EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA ${CONTROL} FROM ' || quote_ident(${escapeLiteral(gate)}) || ' CASCADE';
END`
  return `DO ${escapeLiteral(body)}`
}
