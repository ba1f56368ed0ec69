import { clickhouse } from '@tenantry/engines/clickhouse/engine.ts'
import type { Engine, EngineName, Resource } from '@tenantry/engines/model.ts'
import { postgres } from '@tenantry/engines/postgres/engine.ts'
import { redis } from '@tenantry/engines/redis/engine.ts'

/** Every engine by its name in a Database's spec. A new engine is one more line here. */
export const ENGINES: Readonly<Record<EngineName, Engine<Resource, unknown>>> = {
  PostgreSQL: postgres,
  Redis: redis,
  ClickHouse: clickhouse,
}
