/**
 * One SELECT for each kind of object in a schema: the schema's oid, and a JSON array of kind, name and fields. `rels` are the
 * schemas' relations, `ours` the schemas. What is read is what a SQL file decides; owners, grants and comments are looked after
 * elsewhere, and how a column is stored or counted is the server's business.
 */

/** What the tables below find in a schema, as shown to people. */
export type ObjectKind =
  | 'table'
  | 'column'
  | 'constraint'
  | 'index'
  | 'sequence'
  | 'view'
  | 'materialized view'
  | 'rule'
  | 'function'
  | 'procedure'
  | 'aggregate'
  | 'trigger'
  | 'policy'
  | 'enum'
  | 'domain'
  | 'composite type'
  | 'range'
  | 'statistics'

type Fields = Readonly<Record<string, string>>

/** A field that is NULL is left out. `kind` and `name` are SQL expressions. */
function entry(kind: string, name: string, fields: Fields): string {
  const pairs = Object.entries(fields).map(([field, value]) => `'${field}', ${value}`)
  return `jsonb_build_array(${kind}, ${name}, jsonb_strip_nulls(jsonb_build_object(${pairs.join(', ')})))`
}

const within = (name: string): string => `quote_ident(c.relname) || '.' || quote_ident(${name})`
const when = (condition: string, value = 'yes'): string => `CASE WHEN ${condition} THEN '${value}' END`
const sorted = (list: string): string => `(SELECT string_agg(x, ', ' ORDER BY x COLLATE "C") FROM unnest(${list}) x)`

const TABLES = `
SELECT c.nsp, ${entry("'table'", 'quote_ident(c.relname)', {
  kind: "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END",
  unlogged: when("c.relpersistence = 'u'"),
  'partition key': "CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END",
  inherits:
    "(SELECT string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno) FROM pg_inherits h WHERE h.inhrelid = c.oid)",
  bounds: 'pg_get_expr(c.relpartbound, c.oid)',
  'row security': `CASE WHEN c.relrowsecurity THEN CASE WHEN c.relforcerowsecurity THEN 'forced' ELSE 'enabled' END
    WHEN c.relforcerowsecurity THEN 'forced, but not enabled' END`,
  'replica identity': "nullif(c.relreplident, 'd')::text",
  options: sorted('c.reloptions'),
})}
FROM rels c WHERE c.relkind IN ('r', 'p', 'f')`

/** By their names: where a column stands among the others depends on the order in which files came. */
const COLUMNS = `
SELECT c.nsp, ${entry("'column'", within('a.attname'), {
  type: 'format_type(a.atttypid, a.atttypmod)',
  'not null': when('a.attnotnull'),
  default: "CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END",
  generated: `CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid)
    || CASE a.attgenerated WHEN 's' THEN ' stored' ELSE ' virtual' END END`,
  identity: "CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END",
  collation: `CASE WHEN a.attcollation <> 0 AND a.attcollation <> (SELECT t.typcollation FROM pg_type t WHERE t.oid = a.atttypid)
    THEN a.attcollation::regcollation::text END`,
})}
FROM rels c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'f')`

/** NOT NULL is the column's; what a partition has of its parent follows the parent. */
const CONSTRAINTS = `
SELECT c.nsp, ${entry("'constraint'", within('k.conname'), { definition: 'pg_get_constraintdef(k.oid)' })}
FROM rels c JOIN pg_constraint k ON k.conrelid = c.oid
WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND k.conparentid = 0`

const INDEXES = `
SELECT c.nsp, ${entry("'index'", 'quote_ident(x.relname)', {
  table: 'quote_ident(c.relname)',
  definition: 'pg_get_indexdef(x.oid)',
  unique: when('i.indisunique'),
  invalid: when('NOT i.indisvalid'),
})}
FROM rels c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
WHERE NOT x.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))`

const SEQUENCES = `
SELECT c.nsp, ${entry("'sequence'", 'quote_ident(c.relname)', {
  type: 'format_type(s.seqtypid, NULL)',
  start: 's.seqstart::text',
  increment: 's.seqincrement::text',
  minimum: 's.seqmin::text',
  maximum: 's.seqmax::text',
  cache: 's.seqcache::text',
  cycle: when('s.seqcycle'),
  'owned by': `(SELECT quote_ident(t.relname) || '.' || quote_ident(a.attname) FROM pg_depend d
    JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    LIMIT 1)`,
  identity: `(SELECT 'yes' FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i' LIMIT 1)`,
})}
FROM rels c JOIN pg_sequence s ON s.seqrelid = c.oid WHERE c.relkind = 'S'`

const VIEWS = `
SELECT c.nsp, ${entry("CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END", 'quote_ident(c.relname)', {
  definition: 'pg_get_viewdef(c.oid)',
  options: sorted('c.reloptions'),
})}
FROM rels c WHERE c.relkind IN ('v', 'm')`

const RULES = `
SELECT c.nsp, ${entry("'rule'", within('r.rulename'), { definition: 'pg_get_ruledef(r.oid)', enabled: "nullif(r.ev_enabled, 'O')::text" })}
FROM rels c JOIN pg_rewrite r ON r.ev_class = c.oid WHERE r.rulename <> '_RETURN'`

const ENABLED = "CASE t.tgenabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END"

const TRIGGERS = `
SELECT c.nsp, ${entry("'trigger'", within('t.tgname'), { definition: 'pg_get_triggerdef(t.oid)', fires: ENABLED })}
FROM rels c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal AND t.tgparentid = 0`

const POLICIES = `
SELECT c.nsp, ${entry("'policy'", within('p.polname'), {
  command:
    "CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END",
  restrictive: when('NOT p.polpermissive'),
  roles: `(SELECT string_agg(CASE WHEN x = 0 THEN 'public' ELSE pg_get_userbyid(x)::text END, ', '
    ORDER BY pg_get_userbyid(x) COLLATE "C") FROM unnest(p.polroles) x)`,
  using: 'pg_get_expr(p.polqual, p.polrelid)',
  check: 'pg_get_expr(p.polwithcheck, p.polrelid)',
})}
FROM rels c JOIN pg_policy p ON p.polrelid = c.oid`

const STATISTICS = `
SELECT c.nsp, ${entry("'statistics'", 'quote_ident(s.stxname)', { definition: 'pg_get_statisticsobjdef(s.oid)' })}
FROM rels c JOIN pg_statistic_ext s ON s.stxrelid = c.oid`

/** What depends on the schema itself; there is no index on an object's schema alone. */
const inSchema = (catalogue: 'pg_class' | 'pg_proc' | 'pg_type', column: string): string =>
  `ours o JOIN pg_depend i ON i.refclassid = 'pg_namespace'::regclass AND i.refobjid = o.oid AND i.classid = '${catalogue}'::regclass
  JOIN ${catalogue} c ON c.oid = i.objid AND c.${column} = o.oid`

const FUNCTIONS = `
SELECT o.oid, ${entry(
  "CASE c.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END",
  "quote_ident(c.proname) || '(' || pg_get_function_identity_arguments(c.oid) || ')'",
  {
    definition: "CASE WHEN c.prokind <> 'a' THEN pg_get_functiondef(c.oid) END",
    result: "CASE WHEN c.prokind = 'a' THEN pg_get_function_result(c.oid) END",
    transition: `(SELECT concat_ws(' ', a.aggtransfn::regprocedure, format_type(a.aggtranstype, NULL), nullif(a.aggfinalfn::oid, 0::oid)::regprocedure,
    a.agginitval) FROM pg_aggregate a WHERE a.aggfnoid = c.oid)`,
  },
)}
FROM ${inSchema('pg_proc', 'pronamespace')}
WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = c.oid AND e.deptype IN ('e', 'i'))`

const TYPES = `
SELECT o.oid, ${entry(
  "CASE c.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite type' ELSE 'range' END",
  'quote_ident(c.typname)',
  {
    labels:
      "(SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = c.oid)",
    base: "CASE WHEN c.typtype = 'd' THEN format_type(c.typbasetype, c.typtypmod) END",
    'not null': when("c.typtype = 'd' AND c.typnotnull"),
    default: "CASE WHEN c.typtype = 'd' THEN pg_get_expr(c.typdefaultbin, 0) END",
    constraints: `(SELECT string_agg('CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), ' '
      ORDER BY k.conname COLLATE "C") FROM pg_constraint k WHERE k.contypid = c.oid AND k.contype = 'c')`,
    attributes: `(SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE c.typrelid <> 0 AND a.attrelid = c.typrelid AND a.attnum > 0 AND NOT a.attisdropped)`,
    subtype: '(SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = c.oid)',
  },
)}
FROM ${inSchema('pg_type', 'typnamespace')}
WHERE c.typtype IN ('e', 'd', 'c', 'r')`

/** Relation `ours` (oid) is to be there; gives `rels` and `objects` (nsp, entry). */
export const OBJECTS = `rels AS MATERIALIZED (
  SELECT o.oid AS nsp, c.oid, c.relname, c.relkind, c.relpersistence, c.relpartbound, c.relrowsecurity, c.relforcerowsecurity,
    c.relreplident, c.reloptions
  FROM ${inSchema('pg_class', 'relnamespace')}),
objects(nsp, entry) AS (${[
  TABLES,
  COLUMNS,
  CONSTRAINTS,
  INDEXES,
  SEQUENCES,
  VIEWS,
  RULES,
  TRIGGERS,
  POLICIES,
  STATISTICS,
  FUNCTIONS,
  TYPES,
].join('\nUNION ALL')})`
