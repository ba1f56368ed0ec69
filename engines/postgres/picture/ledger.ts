import { appliedQuery, firstAppliedQuery, isApplied } from '../migrate/ledger.ts'
import { CONTROL } from '../names.ts'

/** How the ledger is kept: a row for each file, which is changed; or a row for each event. A shard may have that of an older version. */
export type LedgerForm = 'none' | 'files' | 'events'

/** The form of the ledger in the database that one is connected to, and the server's version in numbers. */
export const BASICS = `SELECT current_setting('server_version_num')::int AS version,
  CASE WHEN to_regclass('${CONTROL}.migration') IS NULL THEN 'none' WHEN EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('${CONTROL}.migration') AND attname = 'event' AND NOT attisdropped) THEN 'events'
  ELSE 'files' END AS form`

export interface Basics {
  readonly version: number
  readonly form: LedgerForm
}

/** For each form: the applied files of schema `o.schema` as a list of `version checksum`, in the order of versions. */
export const APPLIED: Readonly<Record<LedgerForm, string>> = {
  none: `'{}'::text[]`,
  files: listOf(firstAppliedQuery('schema = o.schema')),
  events: listOf(appliedQuery('schema = o.schema')),
}

function listOf(files: string): string {
  return `(SELECT coalesce(array_agg(l.version || ' ' || l.checksum ORDER BY length(l.version), l.version), '{}') FROM (${files}) l)`
}

const ORDER = 'GROUP BY version, checksum ORDER BY length(version), version, "firstAt"'

/** For each form: all files that were ever tried in the schemas `$1`, or in all of them (null). */
export const HISTORY: Readonly<Record<LedgerForm, string>> = {
  none: 'SELECT WHERE $1::text[] IS NULL AND false',
  files: `
SELECT version, min(name) AS name, checksum, min(finished_at) AS "firstAt", max(finished_at) AS "lastAt",
  count(*) FILTER (WHERE retired_at IS NULL)::int AS live, count(*) FILTER (WHERE retired_at IS NOT NULL)::int AS retired,
  0 AS failures, array_agg(DISTINCT applied_by ORDER BY applied_by) AS by
FROM ${CONTROL}.migration WHERE schema = ANY($1) OR $1 IS NULL ${ORDER}`,
  events: `
WITH last AS (SELECT DISTINCT ON (schema, version) schema, version, checksum, ${isApplied('event')} AS live
  FROM ${CONTROL}.migration WHERE event <> 'fail' AND (schema = ANY($1) OR $1 IS NULL) ORDER BY schema, version, seq DESC),
rows AS (SELECT m.*, ${isApplied('m.event')} AS applies, coalesce(l.live AND l.checksum = m.checksum, false) AS live,
    coalesce(m.run_by, m.applied_by) AS who
  FROM ${CONTROL}.migration m LEFT JOIN last l USING (schema, version) WHERE m.schema = ANY($1) OR $1 IS NULL)
SELECT version, min(name) AS name, checksum, min(finished_at) FILTER (WHERE applies) AS "firstAt",
  max(finished_at) FILTER (WHERE applies) AS "lastAt", count(DISTINCT schema) FILTER (WHERE live)::int AS live,
  count(DISTINCT schema) FILTER (WHERE applies AND NOT live)::int AS retired,
  count(*) FILTER (WHERE event = 'fail')::int AS failures,
  coalesce(array_agg(DISTINCT who ORDER BY who) FILTER (WHERE applies), '{}') AS by
FROM rows ${ORDER}`,
}
