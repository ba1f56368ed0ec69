import { LOCK_TIMEOUT } from '../fence.ts'
import { powerless } from '../migrate/powerless.ts'
import { given } from '../migrate/routines.ts'
import type { Circle, TenantRows } from '../model.ts'
import { CONTROL, circle } from '../names.ts'
import { POLICY } from '../shared-tables.ts'
import type { SqlContext } from './context.ts'
import { block, name, text } from './quote.ts'
import { restGrants, revokeOnObjects, takeOver } from './schema.ts'

/**
 * Brings every table of the shared schema to row security with our policy alone, and gives the groups what each table allows
 * (see shared-tables.ts, which judges by the same rules). Works on the tables that are there when it runs, so that it can end
 * the transaction of a SQL file.
 */
export function sharedTableStatements({ schema, owner, rw, ro }: Circle): readonly string[] {
  return [
    takeOver(schema, owner),
    revokeOnObjects(schema, ['table', 'sequence', 'function']),
    block(secureTables(schema, { rw, ro }), 't record; p record; condition text;'),
    ...restGrants({ schema, rw, ro }),
  ]
}

function secureTables(schema: string, { rw, ro }: Pick<Circle, 'rw' | 'ro'>): string {
  return `FOR t IN SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind, c.relrowsecurity AS enabled,
    c.relforcerowsecurity AS forced, coalesce(obj_description(c.oid, 'pg_class'), '') LIKE '%tenantry:reference%' AS reference,
    c.relkind IN ('r', 'p') AND a.attname IS NOT NULL AS secured,
    CASE WHEN a.atttypid = 'text'::regtype THEN 'tenant_id' ELSE 'tenant_id::text' END AS id
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
  WHERE n.nspname = ${text(schema)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LOOP
  IF t.secured THEN
    ${secureOne()}
  END IF;
  IF t.secured OR (t.kind = 'v' AND NOT t.reference) THEN
    EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON ' || t.name || ${text(` TO ${name(rw)}`)};
    EXECUTE 'GRANT SELECT ON ' || t.name || ${text(` TO ${name(ro)}`)};
  ELSIF t.reference THEN
    EXECUTE 'GRANT SELECT ON ' || t.name || ${text(` TO ${name(rw)}, ${name(ro)}`)};
  END IF;
END LOOP;`
}

/** Each statement only where it changes something: ALTER TABLE takes an exclusive lock. */
function secureOne(): string {
  return `IF NOT t.enabled THEN EXECUTE 'ALTER TABLE ' || t.name || ' ENABLE ROW LEVEL SECURITY'; END IF;
    IF NOT t.forced THEN EXECUTE 'ALTER TABLE ' || t.name || ' FORCE ROW LEVEL SECURITY'; END IF;
    FOR p IN SELECT polname FROM pg_policy WHERE polrelid = t.oid AND polpermissive AND polname <> '${POLICY}' LOOP
      EXECUTE format('DROP POLICY %I ON ', p.polname) || t.name;
    END LOOP;
    condition := '(' || t.id || ' = (SELECT ${CONTROL}.tenant_id()))';
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = '${POLICY}' AND polpermissive AND polcmd = '*'
      AND polroles = '{0}' AND pg_get_expr(polqual, polrelid) = pg_get_expr(polwithcheck, polrelid)
      AND pg_get_expr(polqual, polrelid) = '(' || CASE t.id WHEN 'tenant_id' THEN t.id ELSE '(tenant_id)::text' END
        || ' = ( SELECT ${CONTROL}.tenant_id() AS tenant_id))') THEN
      EXECUTE 'DROP POLICY IF EXISTS ${POLICY} ON ' || t.name;
      EXECUTE 'CREATE POLICY ${POLICY} ON ' || t.name || ' USING ' || condition || ' WITH CHECK ' || condition;
    END IF;`
}

export function tenantRowsStatements({ mark }: SqlContext, { spec }: TenantRows): readonly string[] {
  const values = [spec.name, spec.tenantId, spec.shared, mark()].map(text).join(', ')
  return [
    `INSERT INTO ${CONTROL}.tenant (name, tenant_id, shared, mark) VALUES (${values})
ON CONFLICT (name) DO UPDATE SET tenant_id = excluded.tenant_id, shared = excluded.shared, mark = excluded.mark`,
  ]
}

/**
 * Deletes a tenant's rows everywhere in its shared schema, as the tables' owner and, since the owner is under row security
 * too, in the tenant's name. Tables that others refer to come in a later round. Then the registry entry goes.
 */
export function dropTenantRows({ spec }: TenantRows): readonly string[] {
  const { name: tenant, tenantId, shared } = spec
  const { owner } = circle(shared)
  return [
    block(
      `IF to_regnamespace(${text(name(shared))}) IS NOT NULL AND to_regprocedure('${CONTROL}.tenant_id()') IS NOT NULL THEN
  PERFORM ${given(deleteRows(shared, tenantId)).join(', ')};
  PERFORM ${powerless({ schema: shared, owner })};
  ${LOCK_TIMEOUT};
END IF;
IF to_regclass('${CONTROL}.tenant') IS NOT NULL THEN
  DELETE FROM ${CONTROL}.tenant WHERE name = ${text(tenant)};
END IF;`,
    ),
  ]
}

function deleteRows(shared: string, tenantId: string): string {
  const deletion = `PERFORM set_config('tenantry.tenant', ${text(tenantId)}, true);
  remaining := ARRAY(SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE n.nspname = ${text(shared)} AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.oid DESC);
  WHILE cardinality(remaining) > 0 LOOP
    waiting := '{}';
    FOREACH t IN ARRAY remaining LOOP
      BEGIN
        EXECUTE 'DELETE FROM ' || t || ' WHERE tenant_id::text = $1' USING ${text(tenantId)};
      EXCEPTION WHEN foreign_key_violation THEN
        IF cardinality(waiting) + 1 >= cardinality(remaining) THEN RAISE; END IF;
        waiting := waiting || t;
      END;
    END LOOP;
    remaining := waiting;
  END LOOP;`
  return block(deletion, 'remaining text[]; waiting text[]; t text;')
}
