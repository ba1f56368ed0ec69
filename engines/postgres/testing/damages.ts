/** What people do by hand to a tenant's things. Imported by tests only. */
import { escapeIdentifier, escapeLiteral } from 'pg'
import { freshSuffix } from '../../../test/support/stack.ts'
import type { Damage } from '../../contract.ts'
import type { Connection } from '../../model.ts'
import { byHand, type TenantWish } from './lab.ts'

const id = escapeIdentifier

/** Reserved words, quotes and letters from everywhere. */
export const HOSTILE_TABLES = ['select', 'a "quoted" name', "it's", 'naïve ✓ 表', 'Ünïcödé']

export interface Lab {
  /** Whom the engine works as, and who does the damage. */
  readonly admin: Connection
  /** Sees and writes everything. */
  readonly superuser: Connection
  readonly hand: (...statements: readonly string[]) => Promise<readonly object[]>
}

export function labOn(admin: Connection, superuser: Connection = admin): Lab {
  return { admin, superuser, hand: (...statements) => byHand(admin, ...statements) }
}

/** A title and the statements. */
type Deed = readonly [title: string, ...statements: readonly string[]]

export function damages({ hand }: Lab, deeds: readonly Deed[]): readonly Damage[] {
  return deeds.map(([name, ...statements]) => ({ name, inflict: () => hand(...statements).then(() => undefined) }))
}

/** Who is no superuser must be a member first. */
function dropping(role: string): readonly string[] {
  return [`GRANT ${role} TO CURRENT_USER`, `DROP OWNED BY ${role}`, `DROP ROLE ${role}`]
}

/** To a login of a tenant; `group` is the group that it is a member of. */
function loginDeeds(login: string, group: string): readonly Deed[] {
  const role = id(login)
  return [
    ['login dropped', ...dropping(role)],
    ['password changed', `ALTER ROLE ${role} PASSWORD 'guessed'`],
    ['connection limit changed', `ALTER ROLE ${role} CONNECTION LIMIT 1000`],
    ['setting changed', `ALTER ROLE ${role} SET statement_timeout = 0`],
    ['setting added', `ALTER ROLE ${role} SET work_mem = '1GB'`],
    ['settings reset', `ALTER ROLE ${role} RESET ALL`],
    [
      'setting of this database',
      `DO $$ BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = pg_catalog',
      ${escapeLiteral(login)}, current_database()); END $$`,
    ],
    ['login disabled', `ALTER ROLE ${role} NOLOGIN`],
    ['login made to expire', `ALTER ROLE ${role} VALID UNTIL '2001-01-01'`],
    ['bypassrls given', `ALTER ROLE ${role} BYPASSRLS CREATEDB`],
    ['superuser given', `ALTER ROLE ${role} SUPERUSER`],
    ['membership given', `GRANT pg_read_all_data TO ${role}`],
    ['membership lost', `REVOKE ${id(group)} FROM ${role}`],
    [
      'membership without its rights',
      `ALTER ROLE ${role} NOINHERIT`,
      `REVOKE ${id(group)} FROM ${role}`,
      `GRANT ${id(group)} TO ${role}`,
    ],
  ]
}

function schemaDeeds(name: string, stranger: string): readonly Deed[] {
  const [schema, rw, ro] = [id(name), id(`${name}_rw`), id(`${name}_ro`)]
  const table = `${schema}.${id(HOSTILE_TABLES[1] ?? '')}`
  return [
    ['usage of the schema revoked', `REVOKE USAGE ON SCHEMA ${schema} FROM ${rw}`],
    ['table grant revoked', `REVOKE INSERT ON ${table} FROM ${rw}`],
    ['table grant added', `GRANT TRUNCATE ON ${table} TO ${ro}`],
    ['sequence grant revoked', `REVOKE ALL ON SEQUENCE ${schema}."order" FROM ${rw}`],
    ['stranger in the group', `CREATE ROLE ${stranger}`, `GRANT ${rw} TO ${stranger}`],
    ['stranger let into the schema', `GRANT USAGE ON SCHEMA ${schema} TO ${stranger}`],
    ['schema open to all', `GRANT ALL ON SCHEMA ${schema} TO PUBLIC`],
    ['table open to a stranger', `GRANT SELECT ON ${table} TO ${stranger} WITH GRANT OPTION`],
    ['table open to all', `GRANT SELECT ON ${table} TO PUBLIC`],
    ['function open to all', `GRANT EXECUTE ON FUNCTION ${schema}.twice TO PUBLIC`],
    ['schema given away', `ALTER SCHEMA ${schema} OWNER TO ${stranger}`],
    ['table given away', `ALTER TABLE ${table} OWNER TO ${stranger}`],
    ['table made by the administrator', `CREATE TABLE ${schema}.by_hand (id bigserial)`],
  ]
}

function defaultDeeds(name: string): readonly Deed[] {
  const of = `ALTER DEFAULT PRIVILEGES FOR ROLE ${id(`${name}_owner`)}`
  return [
    ['default privilege revoked', `${of} IN SCHEMA ${id(name)} REVOKE INSERT ON TABLES FROM ${id(`${name}_rw`)}`],
    ['default privilege added', `${of} GRANT SELECT ON TABLES TO PUBLIC`],
    ['default privilege of functions', `${of} GRANT EXECUTE ON FUNCTIONS TO PUBLIC`],
    ['default privilege of types', `${of} REVOKE USAGE ON TYPES FROM PUBLIC`],
    ['owner made a login', `ALTER ROLE ${id(`${name}_owner`)} LOGIN PASSWORD 'guessed'`],
  ]
}

/** These take away what the others work on. */
function dropDeeds(name: string): readonly Deed[] {
  const [schema, rw] = [id(name), id(`${name}_rw`)]
  const roles = ['app_a', 'ro_a', 'rw', 'ro', 'owner'].map((suffix) => id(`${name}_${suffix}`))
  return [
    ['group dropped', ...dropping(rw)],
    ['schema dropped', `DROP SCHEMA ${schema} CASCADE`],
    ['way through the gate lost', gateLoss(name)],
    ['everything dropped', `DROP SCHEMA ${schema} CASCADE`, ...roles.flatMap(dropping)],
  ]
}

function gateLoss(name: string): string {
  return `DO $$ BEGIN EXECUTE (SELECT format('REVOKE %I FROM %I', g.rolname, m.rolname) FROM pg_auth_members a
    JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
    WHERE g.rolname LIKE 'tenantry_gate_%' AND m.rolname = ${escapeLiteral(`${name}_ro`)}); END $$`
}

export function schemaDamages(lab: Lab, { name, login }: TenantWish): readonly Damage[] {
  const stranger = id(`stranger_${freshSuffix()}`)
  return damages(lab, [
    ...loginDeeds(login, `${name}_rw`),
    ...schemaDeeds(name, stranger),
    ...defaultDeeds(name),
    ...dropDeeds(name),
  ])
}

export function rowDamages(lab: Lab, wish: TenantWish): readonly Damage[] {
  const { shared, tenantId } = wish.input
  const login = escapeLiteral(wish.login)
  return damages(lab, [
    ...loginDeeds(wish.login, `${shared}_rw`),
    ['binding removed', `DELETE FROM tenantry.binding WHERE login = ${login}`],
    ['bound to another', `UPDATE tenantry.binding SET tenant_id = 'another' WHERE login = ${login}`],
    ['registry entry removed', `DELETE FROM tenantry.tenant WHERE tenant_id = ${escapeLiteral(tenantId)}`],
  ])
}

export function databaseDamages(lab: Lab, { name, login }: TenantWish): readonly Damage[] {
  const inside = labOn({ ...lab.admin, database: name })
  const stranger = id(`stranger_${freshSuffix()}`)
  const database = id(name)
  return [
    ...damages(lab, [
      ['database open to all', `GRANT CONNECT ON DATABASE ${database} TO PUBLIC`],
      ['connect revoked', `REVOKE CONNECT ON DATABASE ${database} FROM ${id(`${name}_rw`)}`],
      ...loginDeeds(login, `${name}_rw`),
    ]),
    ...damages(inside, [
      ['public opened inside', 'GRANT CREATE ON SCHEMA public TO PUBLIC'],
      ['extension dropped inside', 'DROP EXTENSION pg_trgm'],
      ...schemaDeeds(name, stranger),
      ...defaultDeeds(name),
      ['schema dropped inside', `DROP SCHEMA ${id(name)} CASCADE`],
    ]),
    ...damages(lab, [
      ['database given away', `ALTER DATABASE ${database} OWNER TO ${stranger}`],
      ['database dropped', `DROP DATABASE ${database} WITH (FORCE)`],
    ]),
  ]
}
