import type { Node } from 'libpg-query'
import { hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { as } from '../walk.ts'
import { FOREIGN } from './schemas.ts'
import { dropped } from './tables.ts'

const GUARDING: Readonly<Record<string, string>> = {
  AT_DisableRowSecurity: 'row security is switched off',
  AT_NoForceRowSecurity: 'row security no longer holds for the owner',
}

/** What would reach other tenants' objects, or give others a way to this tenant's. */
export const ACCESS = rules('escape', 'error', {
  'other-schema': {
    title: 'A name in another schema',
    why: 'A file runs for every tenant, with search_path set to its schema. A schema that is named is somebody else’s, or one tenant’s only.',
    instead: 'the name alone; pg_catalog and public may be named',
    bad: 'INSERT INTO globex.orders (id) VALUES (1);',
    good: 'INSERT INTO orders (id) VALUES (pg_catalog.abs(1));',
    find: FOREIGN,
  },
  'schema-statement': {
    title: 'CREATE, ALTER or DROP SCHEMA',
    why: 'A tenant’s schema belongs to the operator; any other is not the tenant’s.',
    instead: 'leave it out; to remove a tenant delete its Tenant object',
    bad: 'DROP SCHEMA globex CASCADE;',
    good: 'CREATE TABLE schemas (id bigint PRIMARY KEY);',
    find: {
      CreateSchemaStmt: ({ schemaname }) => [`schema ${quoted(schemaname)} is made`],
      DropStmt: (drop) =>
        dropped(drop, ['OBJECT_SCHEMA']).map(
          (name) => `schema ${quoted(name.join('.'))} is dropped with all that is in it`,
        ),
      RenameStmt: ({ renameType, subname }) =>
        hit(renameType === 'OBJECT_SCHEMA', `schema ${quoted(subname)} gets another name`),
    },
  },
  'role-statement': {
    title: 'Roles, their memberships, or what they own',
    why: 'Roles are the same for all tenants of a server; the operator makes and grants them.',
    instead: 'leave it to the operator',
    bad: 'CREATE ROLE reader;',
    good: 'CREATE TABLE roles (id bigint PRIMARY KEY);',
    find: {
      CreateRoleStmt: ({ role }) => [`role ${quoted(role)} is made`],
      AlterRoleStmt: () => ['a role is changed'],
      AlterRoleSetStmt: () => ['settings of a role are changed'],
      DropRoleStmt: () => ['a role is dropped'],
      GrantRoleStmt: () => ['a membership is changed'],
      DropOwnedStmt: () => ['all that a role owns is dropped'],
      ReassignOwnedStmt: () => ['all that a role owns gets another owner'],
      AlterOwnerStmt: () => ['an object gets another owner'],
      AlterTableCmd: ({ subtype }) => hit(subtype === 'AT_ChangeOwner', 'a table gets another owner'),
    },
  },
  'grant-to-public': {
    title: 'GRANT to PUBLIC',
    why: 'PUBLIC is every tenant of the database. To revoke from PUBLIC is fine.',
    instead: 'leave it out: default privileges of the schema give the tenant’s own logins what they need',
    bad: 'GRANT SELECT ON orders TO PUBLIC;',
    good: 'REVOKE ALL ON orders FROM PUBLIC;',
    find: {
      GrantStmt: ({ is_grant: grants, grantees }) => hit(grants === true && toPublic(grantees), 'every tenant gets it'),
      AlterDefaultPrivilegesStmt: ({ action }) =>
        hit(action?.is_grant === true && toPublic(action.grantees), 'every tenant gets it, and all that is made later'),
    },
  },
  'weaken-row-security': {
    title: 'Row security is taken away',
    why: 'It is what keeps tenants apart that share a table.',
    instead: 'leave it as it is; a policy of your own is changed by ALTER POLICY',
    bad: 'ALTER TABLE orders DISABLE ROW LEVEL SECURITY;',
    good: 'ALTER TABLE orders ENABLE ROW LEVEL SECURITY;',
    find: {
      AlterTableCmd: ({ subtype = '' }) => (Object.hasOwn(GUARDING, subtype) ? [GUARDING[subtype] ?? ''] : []),
      DropStmt: (drop) => dropped(drop, ['OBJECT_POLICY']).map((name) => `policy ${quoted(name.at(-1))} is dropped`),
    },
  },
})

function toPublic(grantees: readonly Node[] | undefined): boolean {
  return grantees?.some((node) => as('RoleSpec', node)?.roletype === 'ROLESPEC_PUBLIC') === true
}
