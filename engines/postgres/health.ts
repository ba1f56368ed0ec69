import { AppError } from '@tenantry/crds/errors.ts'
import type { Health } from '../model.ts'
import type { Server } from './session.ts'

const OLDEST = 140_000

const HEALTH = `
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
  pg_database_size(current_database())::float8 AS "sizeBytes",
  (SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'tenantry', 'tenantry_fence')) AS tables,
  (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections`

interface HealthRow {
  readonly version: string
  readonly number: number
  readonly sizeBytes: number
  readonly tables: number
  readonly connections: number
}

/** One round trip. `tables` and size are of the shard's database, connections of the whole server. */
export async function health(server: Server, signal: AbortSignal): Promise<Health> {
  return await server.pooled('check health', signal, async (client) => {
    const started = performance.now()
    const { rows } = await client.query<HealthRow>(HEALTH)
    const latencyMs = Math.round((performance.now() - started) * 10) / 10
    const [row] = rows
    if (!row) throw new Error('the server answered no row')
    const { number, ...rest } = row
    if (number < OLDEST) {
      throw new AppError(
        'UnsupportedVersion',
        `${server.title} runs Postgres ${row.version}: version 14 or newer is needed`,
      )
    }
    return { ...rest, version: row.version.split(' ', 1)[0] ?? row.version, latencyMs, accessControl: true }
  })
}
