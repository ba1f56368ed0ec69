import { database, databaseReady, files, type Lifecycle, server, sources } from './steps.ts'

export const CUSTOMERS =
  'create table customers (id bigint generated always as identity primary key, name text not null);'
const EVENTS = 'CREATE TABLE IF NOT EXISTS events (at DateTime, kind String) ENGINE = MergeTree ORDER BY at;'

/** The Databases that lifecycles share; made first in every run. */
export const PLATFORM: Lifecycle = {
  name: 'platform',
  steps: [
    server('oltp-s0'),
    server('cache-s0', 'redis'),
    server('analytics-s0', 'clickhouse'),
    files('oltp-tables', { '0001_customers.sql': CUSTOMERS }),
    files('analytics-tables', { '0001_events.sql': EVENTS }),
    database('oltp', { engine: 'PostgreSQL', isolation: 'Schema', ...sources('oltp-tables') }),
    database('cache', { engine: 'Redis', isolation: 'Prefix' }),
    database('analytics', { engine: 'ClickHouse', isolation: 'Database', ...sources('analytics-tables') }),
    databaseReady('oltp', 'cache', 'analytics'),
  ],
}
