import { CONTROL_VERSION, controlStatements } from '../control.ts'
import { databaseFacts } from '../diff/own-database.ts'
import { gateFacts } from '../diff/shard.ts'
import { retire } from '../migrate/ledger.ts'
import type { ControlSchema, Entry, Gate, TenantDatabase } from '../model.ts'
import { CONTROL } from '../names.ts'
import type { SqlContext } from './context.ts'
import { block, name, text } from './quote.ts'
import { join, revokeMemberships } from './role.ts'
import type { Topics } from './topics.ts'

export function gateStatements(context: SqlContext, { spec }: Gate, topics: Topics): readonly string[] {
  const group = name(spec.gate)
  return [
    block(`IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${text(spec.gate)}) THEN
  CREATE ROLE ${group} NOLOGIN;
END IF;`),
    ...(topics.changed('attributes') ? [stripAttributes(spec.gate)] : []),
    ...(topics.changed('member of') ? [revokeMemberships(`m.rolname = ${text(spec.gate)}`)] : []),
    ...(topics.changed('members') ? [removeStrangers(spec.gate)] : []),
    `COMMENT ON ROLE ${group} IS ${text(context.mark(gateFacts(context.database)))}`,
    block(`EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), ${text(spec.gate)});
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), ${text(spec.gate)});`),
    ...closePublic(),
    `REVOKE ALL ON SCHEMA public FROM ${group}`,
    `GRANT USAGE ON SCHEMA public TO ${group}`,
  ]
}

function stripAttributes(role: string): string {
  return block(
    `FOR x IN SELECT unnest(ARRAY[CASE WHEN rolsuper THEN 'NOSUPERUSER' END, CASE WHEN rolcreaterole THEN 'NOCREATEROLE' END,
    CASE WHEN rolcreatedb THEN 'NOCREATEDB' END, CASE WHEN rolreplication THEN 'NOREPLICATION' END,
    CASE WHEN rolbypassrls THEN 'NOBYPASSRLS' END, CASE WHEN rolcanlogin THEN 'NOLOGIN' END]) AS attribute
  FROM pg_roles WHERE rolname = ${text(role)}
LOOP
  IF x.attribute IS NOT NULL THEN EXECUTE ${text(`ALTER ROLE ${name(role)} `)} || x.attribute; END IF;
END LOOP;`,
    'x record;',
  )
}

function removeStrangers(gate: string): string {
  return revokeMemberships(`g.rolname = ${text(gate)} AND NOT m.rolsuper AND m.rolname <> current_user
    AND coalesce(c.description, '') NOT LIKE 'tenantry:%'`)
}

/** REVOKE by somebody who may not is only a warning in Postgres: here it is an error, lest it be tried for ever. */
function closePublic(): readonly string[] {
  return [
    'CREATE SCHEMA IF NOT EXISTS public',
    'REVOKE ALL ON SCHEMA public FROM PUBLIC',
    block(`IF EXISTS (SELECT FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    WHERE n.nspname = 'public' AND a.grantee = 0) THEN
  RAISE insufficient_privilege USING MESSAGE = 'schema public stays open to PUBLIC: its owner must be the administrative user';
END IF;`),
  ]
}

export function controlSchemaStatements({ mark }: SqlContext, { spec }: ControlSchema): readonly string[] {
  return [
    ...controlStatements(spec.gate, spec.trusted),
    `COMMENT ON SCHEMA ${CONTROL} IS ${text(mark({ version: CONTROL_VERSION }))}`,
  ]
}

export function dropControl(): string {
  return `DROP SCHEMA IF EXISTS ${CONTROL} CASCADE`
}

export function entryStatements({ spec }: Entry): readonly string[] {
  return spec.members.map((member) => join(spec.gate, member))
}

/** In `public`, which is on every search_path and where nobody but the owner of the database may create anything. */
export function extensionStatement(extension: string): string {
  return `CREATE EXTENSION IF NOT EXISTS ${name(extension)} SCHEMA public CASCADE`
}

/** Cannot run in a transaction; run only when there is no database of that name. */
export function createDatabase({ spec }: TenantDatabase): string {
  return `CREATE DATABASE ${name(spec.name)} OWNER ${name(spec.owner)} TEMPLATE template0`
}

/** Over the shard's connection, after the database is there. */
export function databaseStatements(
  { mark, database }: SqlContext,
  { spec }: TenantDatabase,
  topics: Topics,
): readonly string[] {
  const db = name(spec.name)
  return [
    ...(topics.changed('owner') ? [`ALTER DATABASE ${db} OWNER TO ${name(spec.owner)}`] : []),
    takeFromAll(spec.name, spec.owner),
    `GRANT CONNECT ON DATABASE ${db} TO ${name(spec.rw)}, ${name(spec.ro)}`,
    `COMMENT ON DATABASE ${db} IS ${text(mark(databaseFacts(database)))}`,
    ...(topics.fresh ? [block(retire(spec.name))] : []),
  ]
}

function takeFromAll(database: string, owner: string): string {
  return block(
    `FOR g IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
  FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
  WHERE d.datname = ${text(database)} AND a.grantee <> d.datdba AND pg_get_userbyid(a.grantee) NOT IN (${text(owner)}, current_user)
LOOP
  EXECUTE ${text(`REVOKE ALL ON DATABASE ${name(database)} FROM `)} || g || ' CASCADE';
END LOOP;`,
    'g text;',
  )
}

/** Over a connection to the tenant's database. */
export function insideStatements({ extensions }: SqlContext, { spec }: TenantDatabase): readonly string[] {
  return [
    ...closePublic(),
    ...extensions.map(extensionStatement),
    `GRANT USAGE ON SCHEMA public TO ${[spec.owner, spec.rw, spec.ro].map(name).join(', ')}`,
  ]
}

/** Cannot run in a transaction. */
export function dropDatabase({ spec }: TenantDatabase): string {
  return `DROP DATABASE IF EXISTS ${name(spec.name)} WITH (FORCE)`
}
