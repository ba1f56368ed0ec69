import type { AppliedFile } from '../../model.ts'
import { CONTROL } from '../names.ts'
import type { Server } from '../session.ts'
import { BASICS } from './queries.ts'
import { readOnly } from './read-only.ts'

const HISTORY = `
SELECT version, min(name) AS name, checksum, min(finished_at) AS "firstAt", max(finished_at) AS "lastAt",
  count(*) FILTER (WHERE retired_at IS NULL)::int AS live, count(*) FILTER (WHERE retired_at IS NOT NULL)::int AS retired,
  array_agg(DISTINCT applied_by ORDER BY applied_by) AS by
FROM ${CONTROL}.migration WHERE schema = ANY($1::text[]) OR $1 IS NULL
GROUP BY version, checksum ORDER BY length(version), version, min(finished_at)`

/** What the shard's ledger tells of its files: [] where there is none. */
export async function history(
  server: Server,
  schemas: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<readonly AppliedFile[]> {
  return await readOnly(server, { place: undefined, doing: 'read the ledger of SQL files' }, signal, async (read) => {
    const [basics] = await read<{ hasLedger: boolean }>(BASICS)
    return basics?.hasLedger ? await read<AppliedFile>(HISTORY, [schemas ?? null]) : []
  })
}
