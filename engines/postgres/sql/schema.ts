import { LOCK_TIMEOUT } from '../fence.ts'
import { retire } from '../migrate/ledger.ts'
import { ledgerStatements } from '../migrate/ledger-schema.ts'
import { powerless } from '../migrate/powerless.ts'
import { given } from '../migrate/routines.ts'
import type { Circle, DefaultPrivileges, SchemaObject, SchemaResource } from '../model.ts'
import type { SqlContext } from './context.ts'
import { block, name, nameArray, text } from './quote.ts'
import type { Topics } from './topics.ts'

/** A schema that did not exist has no history: whatever the ledger says of an earlier one of its name is retired. */
export function schemaStatements({ mark }: SqlContext, { spec }: SchemaResource, topics: Topics): readonly string[] {
  const { schema, owner, rw, ro } = spec
  return [
    block(`IF to_regnamespace(${text(name(schema))}) IS NULL THEN
  CREATE SCHEMA ${name(schema)} AUTHORIZATION ${name(owner)};
  ${retire(schema)}
END IF;`),
    ...(topics.changed('owner') ? [`ALTER SCHEMA ${name(schema)} OWNER TO ${name(owner)}`] : []),
    ...(topics.mentions('grants') ? [revokeOnSchema(spec)] : []),
    `GRANT USAGE ON SCHEMA ${name(schema)} TO ${name(rw)}, ${name(ro)}`,
    `COMMENT ON SCHEMA ${name(schema)} IS ${text(mark())}`,
  ]
}

/** Takes every grant on the schema but those of its owner and ours; USAGE is to be granted again. */
export function revokeOnSchema({ schema, owner }: Circle): string {
  return block(
    `FOR g IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
  FROM pg_namespace n, aclexplode(n.nspacl) a
  WHERE n.nspname = ${text(schema)} AND a.grantee <> n.nspowner AND pg_get_userbyid(a.grantee) NOT IN (${text(owner)}, current_user)
LOOP
  EXECUTE ${text(`REVOKE ALL ON SCHEMA ${name(schema)} FROM `)} || g || ' CASCADE';
END LOOP;`,
    'g text;',
  )
}

export function dropSchema(schema: string): string {
  return block(`DROP SCHEMA IF EXISTS ${name(schema)} CASCADE;
  ${retire(schema)}`)
}

/** Rewrites the owner's default privileges: first everything is taken, then the wanted is given. */
export function defaultStatements({ spec }: DefaultPrivileges, topics: Topics): readonly string[] {
  const { schema, owner, rw, ro, tables } = spec
  const of = `ALTER DEFAULT PRIVILEGES FOR ROLE ${name(owner)}`
  const here = `${of} IN SCHEMA ${name(schema)}`
  return [
    ...(topics.fresh ? [] : [takeDefaults(owner)]),
    `${of} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`,
    ...(tables
      ? [
          `${here} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${name(rw)}`,
          `${here} GRANT SELECT ON TABLES TO ${name(ro)}`,
        ]
      : []),
    `${here} GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO ${name(rw)}`,
    `${here} GRANT SELECT ON SEQUENCES TO ${name(ro)}`,
    `${here} GRANT EXECUTE ON FUNCTIONS TO ${name(rw)}, ${name(ro)}`,
  ]
}

function takeDefaults(owner: string): string {
  return block(
    `FOR x IN SELECT DISTINCT d.defaclobjtype AS type, d.defaclnamespace::regnamespace::text AS schema, d.defaclnamespace AS ns,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
  FROM pg_default_acl d, aclexplode(d.defaclacl) a
  WHERE d.defaclrole = ${text(name(owner))}::regrole AND a.grantee <> d.defaclrole
LOOP
  EXECUTE ${text(`ALTER DEFAULT PRIVILEGES FOR ROLE ${name(owner)} `)}
    || CASE WHEN x.ns = 0 THEN '' ELSE 'IN SCHEMA ' || x.schema END || ' REVOKE ALL ON '
    || CASE x.type WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
      WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END || ' FROM ' || x.grantee;
END LOOP;
FOR x IN SELECT d.defaclobjtype AS type FROM pg_default_acl d
  WHERE d.defaclrole = ${text(name(owner))}::regrole AND d.defaclnamespace = 0
LOOP
  EXECUTE ${text(`ALTER DEFAULT PRIVILEGES FOR ROLE ${name(owner)} GRANT ALL ON `)}
    || CASE x.type WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
      WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END || ${text(` TO ${name(owner)}`)}
    || CASE WHEN x.type IN ('f', 'T') THEN ', PUBLIC' ELSE '' END;
END LOOP;`,
    'x record;',
  )
}

/** Owner and grants of everything in a tenant's schema, whatever they were. */
export function objectStatements({ schema, owner, rw, ro }: Circle): readonly string[] {
  const here = `IN SCHEMA ${name(schema)}`
  return [
    takeOver(schema, owner),
    revokeOnObjects(schema, ['table', 'sequence', 'function']),
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES ${here} TO ${name(rw)}`,
    `GRANT SELECT ON ALL TABLES ${here} TO ${name(ro)}`,
    ...restGrants({ schema, rw, ro }),
  ]
}

/** Grants on what is neither table nor view. */
export function restGrants({ schema, rw, ro }: Pick<Circle, 'schema' | 'rw' | 'ro'>): readonly string[] {
  const here = `IN SCHEMA ${name(schema)}`
  return [
    `GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES ${here} TO ${name(rw)}`,
    `GRANT SELECT ON ALL SEQUENCES ${here} TO ${name(ro)}`,
    `GRANT EXECUTE ON ALL ROUTINES ${here} TO ${name(rw)}, ${name(ro)}`,
  ]
}

/** Sequences of columns follow their tables. */
export function takeOver(schema: string, owner: string): string {
  return block(
    `FOR x IN SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
    WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ${text(schema)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND pg_get_userbyid(c.relowner) <> ${text(owner)}
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass
      AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
  UNION ALL SELECT 'ROUTINE', p.oid::regprocedure::text
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = ${text(schema)} AND pg_get_userbyid(p.proowner) <> ${text(owner)}
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
LOOP
  EXECUTE 'ALTER ' || x.kind || ' ' || x.name || ${text(` OWNER TO ${name(owner)}`)};
END LOOP;`,
    'x record;',
  )
}

/** Takes every grant but the owner's own, object by object. */
export function revokeOnObjects(schema: string, kinds: readonly string[]): string {
  return block(
    `FOR x IN SELECT DISTINCT o.kind, o.name,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
  FROM (SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
      format('%I.%I', n.nspname, c.relname) AS name, c.relacl AS acl, c.relowner AS owner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ${text(schema)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL SELECT 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ${text(schema)}
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  ) o, aclexplode(o.acl) a
  WHERE a.grantee <> o.owner AND o.kind::name = ANY (${nameArray(kinds)})
LOOP
  EXECUTE 'REVOKE ALL ON ' || CASE x.kind WHEN 'function' THEN 'ROUTINE' ELSE x.kind END || ' ' || x.name
    || ' FROM ' || x.grantee || ' CASCADE';
END LOOP;`,
    'x record;',
  )
}

/** As the owner, who may do nothing elsewhere. Bodies are not checked: they may name what is made after them. */
export function schemaObjectStatements({ spec }: SchemaObject): readonly string[] {
  const settings = given(spec.statements.join(';\n'), 'SET LOCAL check_function_bodies = off')
  const routines = spec.place === undefined ? [] : ledgerStatements()
  return [LOCK_TIMEOUT, ...routines, `SELECT ${settings.join(', ')}`, `SELECT ${powerless(spec)}`]
}
