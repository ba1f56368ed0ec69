/** What people do by hand to what a Database has on its shard. Imported by tests only. */
import { escapeIdentifier } from 'pg'
import { freshSuffix } from '../../../test/support/stack.ts'
import type { Damage } from '../../contract.ts'
import { gateName } from '../names.ts'
import { damages, type Lab } from './damages.ts'

const id = escapeIdentifier

type Deeds = Parameters<typeof damages>[1]

export function sharedDamages(lab: Lab, shared: string): readonly Damage[] {
  const stranger = id(`stranger_${freshSuffix()}`)
  return damages(lab, [
    ...tableDeeds(id(shared)),
    ...accessDeeds(shared, stranger),
    ...shardDeeds(id(lab.admin.database ?? ''), id(gateName(lab.admin.database ?? '')), stranger),
    ['schema dropped', `DROP SCHEMA ${id(shared)} CASCADE`],
  ])
}

function tableDeeds(schema: string): Deeds {
  const table = `${schema}.orders`
  return [
    ['row security disabled', `ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`],
    ['row security not forced', `ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY`],
    ['policy dropped', `DROP POLICY tenantry_tenant ON ${table}`],
    ['policy changed', `ALTER POLICY tenantry_tenant ON ${schema}."select" USING (true)`],
    [
      'policy for reading only',
      `DROP POLICY tenantry_tenant ON ${table}`,
      `CREATE POLICY tenantry_tenant ON ${table} FOR SELECT USING (true)`,
    ],
    ['permissive policy added', `CREATE POLICY "open ""to"" all" ON ${table} USING (true)`],
    ['table made by hand', `CREATE TABLE ${schema}."by hand" (tenant_id uuid)`],
  ]
}

function accessDeeds(shared: string, stranger: string): Deeds {
  const [schema, rw, ro] = [id(shared), id(`${shared}_rw`), id(`${shared}_ro`)]
  const [owner, trusted] = [id(`${shared}_owner`), id(`${shared}_trusted`)]
  return [
    ['table without tenant_id made', `CREATE TABLE ${schema}.open (a int)`, `GRANT SELECT ON ${schema}.open TO ${ro}`],
    ['reference table made writable', `GRANT INSERT ON ${schema}.countries TO ${rw}`],
    ['grant on a table revoked', `REVOKE ALL ON ${schema}.orders FROM ${rw}`],
    [
      'stranger let in',
      `CREATE ROLE ${stranger}`,
      `GRANT SELECT ON ${schema}.orders TO ${stranger}`,
      `GRANT ${rw} TO ${stranger}`,
    ],
    [
      'default privilege added',
      `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${ro}`,
    ],
    ['trusted role dropped', `DROP OWNED BY ${trusted}`, `DROP ROLE ${trusted}`],
    ['owner exempt from row security', `ALTER ROLE ${owner} BYPASSRLS`],
  ]
}

function shardDeeds(database: string, gate: string, stranger: string): Deeds {
  return [
    ['gate opened to a stranger', `GRANT ${gate} TO ${stranger}`],
    ['gate made a login', `ALTER ROLE ${gate} LOGIN CREATEDB`],
    ['gate let into other roles', `GRANT pg_read_all_data TO ${gate}`],
    ['gate dropped', `DROP OWNED BY ${gate}`, `DROP ROLE ${gate}`],
    ['database opened to all', `GRANT CONNECT, TEMP ON DATABASE ${database} TO PUBLIC`],
    ['public opened to all', 'GRANT CREATE ON SCHEMA public TO PUBLIC'],
    ['extension dropped', 'DROP EXTENSION pg_trgm'],
    [
      'tenant function replaced',
      `CREATE OR REPLACE FUNCTION tenantry.tenant_id() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'another' $$`,
    ],
    ['tenant function open to all', 'GRANT EXECUTE ON FUNCTION tenantry.tenant_id() TO PUBLIC'],
    ['registry readable', 'GRANT SELECT ON tenantry.binding TO PUBLIC', 'GRANT USAGE ON SCHEMA tenantry TO PUBLIC'],
    ['ledger index dropped', 'DROP INDEX tenantry.migration_seq'],
    ['ledger guard dropped', 'DROP TRIGGER keep ON tenantry.migration'],
    ['registry table dropped', 'DROP TABLE tenantry.binding'],
  ]
}
