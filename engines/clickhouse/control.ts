import type { Call, Link } from './client.ts'
import type { FencedLink } from './fence.ts'

/** The database on each shard that holds what we must remember and ClickHouse has no place for. */
export const CONTROL = 'tenantry'

/**
 * `registry`: whose the things without a comment are (users, roles, a tenant's rows). `ledger`: append-only, a row for each
 * event of a SQL file (ledger.ts); of the first run in a new database the outcome alone. Of the rows that are `done` the one with
 * the greatest `seq` counts, so that duplicates do no harm. `fence`: the epochs that wrote here; the greatest counts, and the older
 * ones go when parts are merged.
 */
const TABLES = [
  `CREATE DATABASE IF NOT EXISTS ${CONTROL} COMMENT 'Tenantry: ownership and applied SQL files'`,
  `CREATE TABLE IF NOT EXISTS ${CONTROL}.registry (
    id String, base String, mark String, detail String, version UInt64
  ) ENGINE = ReplacingMergeTree(version) ORDER BY id`,
  `CREATE TABLE IF NOT EXISTS ${CONTROL}.ledger (
    database String, database_uuid UUID, version String, name String, checksum String, body String,
    before Array(String), made Array(String), dropped Array(String),
    done Bool, at DateTime64(3, 'UTC') DEFAULT now64(3), applied_by String,
    seq UInt64 DEFAULT toUnixTimestamp64Nano(now64(9))
  ) ENGINE = MergeTree ORDER BY (database, database_uuid, version, seq)`,
  // A ledger may be older than these.
  `ALTER TABLE ${CONTROL}.ledger
    ADD COLUMN IF NOT EXISTS event LowCardinality(String) DEFAULT if(done, 'apply', 'begin'),
    ADD COLUMN IF NOT EXISTS statement UInt32,
    ADD COLUMN IF NOT EXISTS run String,
    ADD COLUMN IF NOT EXISTS run_by String,
    ADD COLUMN IF NOT EXISTS ms UInt64,
    ADD COLUMN IF NOT EXISTS error String`,
  `CREATE TABLE IF NOT EXISTS ${CONTROL}.fence (
    fence String, epoch UInt64
  ) ENGINE = ReplacingMergeTree(epoch) ORDER BY fence`,
] as const

type Context = Pick<Call, 'signal'>

export async function ensureControl(link: Link, { signal }: Context): Promise<void> {
  for (const sql of TABLES) await link.run(sql, { doing: 'create the control tables', signal })
}

/** `detail`: JSON of what a later drop needs to know. */
export interface RegistryRow {
  readonly id: string
  readonly base: string
  readonly mark: string
  readonly detail: string
}

/** The version outruns the last one of the same id, so that a clock that was set back cannot revive an old row. */
export async function writeRegistry(link: Link, row: RegistryRow, { signal }: Context): Promise<void> {
  const sql = `INSERT INTO ${CONTROL}.registry (id, base, mark, detail, version)
    SELECT {id:String}, {base:String}, {mark:String}, {detail:String}, greatest(
      toUInt64(toUnixTimestamp64Nano(now64(9))),
      (SELECT max(version) + 1 FROM ${CONTROL}.registry WHERE id = {id:String})
    )`
  await link.run(sql, { doing: `register ${row.id}`, signal, params: { ...row } })
}

export async function deleteRegistry(link: FencedLink, id: string, { signal }: Context): Promise<void> {
  const look = { doing: `look up ${id} in the registry`, signal, params: { id } }
  if (!(await link.row(`SELECT 1 AS found FROM ${CONTROL}.registry WHERE id = {id:String} LIMIT 1`, look))) return
  const sql = `DELETE FROM ${CONTROL}.registry WHERE id = {id:String}`
  await link.run(sql, { doing: `forget ${id}`, signal, params: { id } })
}

export async function deleteLedger(link: FencedLink, database: string, { signal }: Context): Promise<void> {
  const params = { database }
  const sql = `SELECT 1 AS found FROM ${CONTROL}.ledger WHERE database = {database:String} LIMIT 1`
  if (!(await link.row(sql, { doing: `look up the ledger of ${database}`, signal, params }))) return
  const forget = `DELETE FROM ${CONTROL}.ledger WHERE database = {database:String}`
  await link.run(forget, { doing: `forget the ledger of ${database}`, signal, params })
}
