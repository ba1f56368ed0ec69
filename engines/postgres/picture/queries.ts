import { APPLIED, type LedgerForm } from './ledger.ts'
import { OBJECTS } from './objects.ts'

/** What stands for the schema's own name in a picture, so that the pictures of two schemas can be compared. */
export const OWN_SCHEMA = ':schema'

/** What stands for the literal with the tenant's `namespace/name`. */
export const OWN_TENANT = ":'tenant'"

/**
 * `$1`: schemas, `$2`: for each the `namespace/name` of its tenant, or null. `plain`: the name reads the same quoted, as an
 * identifier and in JSON, which all names of ours do.
 */
const OURS = `ours AS MATERIALIZED (
  SELECT n.oid, s.schema, quote_literal(s.tenant) AS tenant, s.schema ~ '^[a-z_][a-z0-9_]*$' AND quote_ident(s.schema) = s.schema AS plain
  FROM unnest($1::text[], $2::text[]) s(schema, tenant) JOIN pg_namespace n ON n.nspname = s.schema)`

/** The schema's name in all the ways in which it may be written, the longest first. */
const HIDDEN = `CASE WHEN o.plain
  THEN replace(replace(x.entry::text, '\\"' || o.schema || '\\"', '${OWN_SCHEMA}'), o.schema, '${OWN_SCHEMA}') ELSE ${[
    "replace(quote_ident(o.schema), '''', '''''')",
    'quote_ident(o.schema)',
    "replace(o.schema, '''', '''''')",
    'o.schema',
  ].reduce((text, form) => `replace(${text}, ${jsonInside(form)}, '${OWN_SCHEMA}')`, 'x.entry::text')} END`

/** As it stands within a JSON string. */
function jsonInside(value: string): string {
  return `substr(to_json((${value})::text)::text, 2, length(to_json((${value})::text)::text) - 2)`
}

/** One row for each object, without the names of the schema and its tenant: they differ from schema to schema. */
const ENTRIES = `WITH ${OURS}, ${OBJECTS},
entries AS (SELECT o.oid, replace(${HIDDEN}, coalesce(${jsonInside('o.tenant')}, ''), '${OWN_TENANT.replaceAll("'", "''")}') AS entry
  FROM objects x JOIN ours o ON o.oid = x.nsp)`

/** Objects of the schemas `$1`, one by one. */
export const PICTURES = `${ENTRIES}
SELECT o.schema, coalesce(json_agg(e.entry::json) FILTER (WHERE e.entry IS NOT NULL), '[]') AS objects
FROM ours o LEFT JOIN entries e USING (oid) GROUP BY o.schema`

/**
 * A sha256 over each schema's objects, in hex, and with it the live files of its ledger: both as of one moment, so that a file that
 * is applied meanwhile is in both or in neither.
 */
export const digestQuery = (form: LedgerForm): string => `${ENTRIES}
SELECT o.schema, encode(sha256(convert_to(coalesce(string_agg(e.entry, E'\\n' ORDER BY e.entry COLLATE "C"), ''), 'UTF8')), 'hex') AS digest,
  ${APPLIED[form]} AS files
FROM ours o LEFT JOIN entries e USING (oid) GROUP BY o.schema`
