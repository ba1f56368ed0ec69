import type { Node } from 'libpg-query'
import { OWN_SCHEMA } from '../../migrate/placeholders.ts'
import { type Find, type Hit, hit } from '../rule.ts'
import { quoted } from '../shown.ts'
import { as, names } from '../walk.ts'

/** Schemas that a file may name, for they are nobody's; those of functions of the operator too. */
const OPEN = new Set(['pg_catalog', 'public', 'information_schema', 'pg_temp'])
const OPEN_FUNCTIONS = new Set([...OPEN, 'tenantry'])

/** Objects whose names end with the table they are on. */
const ON_TABLES = new Set(['OBJECT_POLICY', 'OBJECT_TRIGGER', 'OBJECT_RULE', 'OBJECT_COLUMN', 'OBJECT_TABCONSTRAINT'])
/** Objects without a schema. */
const BARE = new Set(['OBJECT_SCHEMA', 'OBJECT_EXTENSION', 'OBJECT_ROLE', 'OBJECT_DATABASE', 'OBJECT_OPCLASS'])
const TO_TABLES = new Set(['regclass', 'regtype', 'regproc', 'regprocedure'])
const SEQUENCES = new Set(['nextval', 'setval', 'currval', 'to_regclass'])

/** Finds names that are in another schema than the tenant's, wherever a statement has them. */
export const FOREIGN: Find = {
  RangeVar: ({ schemaname, catalogname, location }) => [
    ...hit(catalogname !== undefined, `database ${quoted(catalogname)} is named`, location),
    ...foreign(schemaname, OPEN, location),
  ],
  FuncCall: ({ funcname, args = [], location }) => {
    const own = qualified(funcname, 2, OPEN_FUNCTIONS, location)
    const sequence = SEQUENCES.has(names(funcname).at(-1) ?? '') ? written(args[0], location) : []
    return [...own, ...sequence]
  },
  TypeName: ({ names: parts, location }) => qualified(parts, 2, OPEN_FUNCTIONS, location),
  TypeCast: ({ arg, typeName }) =>
    TO_TABLES.has(names(typeName?.names).at(-1) ?? '') ? written(arg, typeName?.location) : [],
  A_Expr: ({ name, location }) => qualified(name, 2, OPEN, location),
  CollateClause: ({ collname, location }) => qualified(collname, 2, OPEN, location),
  ObjectWithArgs: ({ objname }) => qualified(objname, 2, OPEN_FUNCTIONS),
  CreateFunctionStmt: ({ funcname }) => qualified(funcname, 2, OPEN),
  CreateTrigStmt: ({ funcname }) => qualified(funcname, 2, OPEN_FUNCTIONS),
  CreateEnumStmt: ({ typeName }) => qualified(typeName, 2, OPEN),
  AlterEnumStmt: ({ typeName }) => qualified(typeName, 2, OPEN),
  CreateRangeStmt: ({ typeName }) => qualified(typeName, 2, OPEN),
  AlterTypeStmt: ({ typeName }) => qualified(typeName, 2, OPEN),
  CreateDomainStmt: ({ domainname }) => qualified(domainname, 2, OPEN),
  AlterDomainStmt: ({ typeName }) => qualified(typeName, 2, OPEN),
  DefineStmt: ({ defnames }) => qualified(defnames, 2, OPEN),
  CreateStatsStmt: ({ defnames }) => qualified(defnames, 2, OPEN),
  CreateOpClassStmt: ({ opclassname }) => qualified(opclassname, 2, OPEN),
  DropStmt: ({ objects = [], removeType }) => objects.flatMap((node) => object(node, removeType)),
  CommentStmt: ({ object: node, objtype }) => object(node, objtype),
  RenameStmt: ({ object: node, renameType }) => object(node, renameType),
  AlterObjectSchemaStmt: ({ object: node, objectType, newschema }) => [
    ...object(node, objectType),
    ...hit(true, `it is moved to schema ${quoted(newschema)}`),
  ],
  SecLabelStmt: ({ object: node, objtype }) => object(node, objtype),
  AlterObjectDependsStmt: ({ object: node, objectType }) => object(node, objectType),
  GrantStmt: ({ targtype, objtype, objects = [] }) =>
    targtype === 'ACL_TARGET_ALL_IN_SCHEMA' || objtype === 'OBJECT_SCHEMA'
      ? objects.flatMap((node) => foreign(as('String', node)?.sval, new Set()))
      : objects.flatMap((node) => object(node, objtype)),
  AlterDefaultPrivilegesStmt: ({ options = [] }) =>
    options.flatMap((node) => {
      const { defname, arg } = as('DefElem', node) ?? {}
      return defname === 'schemas' ? names(as('List', arg)?.items).flatMap((name) => foreign(name, new Set())) : []
    }),
}

/** A name in a list of strings, of which so many belong to the object and its schema. */
function qualified(
  list: readonly Node[] | undefined,
  parts: number,
  open: ReadonlySet<string>,
  at?: number,
): readonly Hit[] {
  const name = names(list)
  return name.length < parts ? [] : foreign(name[name.length - parts], open, at)
}

function object(node: Node | undefined, type = ''): readonly Hit[] {
  const items = as('List', node)?.items
  return items === undefined || BARE.has(type) ? [] : qualified(items, ON_TABLES.has(type) ? 3 : 2, OPEN)
}

/** A name that stands in a string, as in nextval('orders_id_seq'). */
function written(node: Node | undefined, at: number | undefined): readonly Hit[] {
  const text = as('A_Const', as('TypeCast', node)?.arg ?? node)?.sval?.sval
  const schema = text === undefined ? undefined : /^\s*(?:"(?<q>(?:[^"]|"")*)"|(?<p>[^\s."(]+))\s*\./.exec(text)?.groups
  return foreign(schema?.q ?? schema?.p?.toLowerCase(), OPEN, at)
}

function foreign(schema: string | undefined, open: ReadonlySet<string>, at?: number): readonly Hit[] {
  return hit(
    schema !== undefined && schema !== OWN_SCHEMA && !open.has(schema),
    `schema ${quoted(schema)} is named`,
    at,
  )
}
