import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import type { ChChange } from '@tenantry/engines/clickhouse/compare.ts'
import { CONTROL } from '@tenantry/engines/clickhouse/control.ts'
import type { ChResource, FileSpec } from '@tenantry/engines/clickhouse/resources.ts'
import type { ChSnapshot } from '@tenantry/engines/clickhouse/snapshot.ts'
import { splitStatements } from '@tenantry/engines/clickhouse/split.ts'
import { createDatabase } from '@tenantry/engines/clickhouse/statements.ts'
import { encodeMark } from '@tenantry/engines/mark.ts'
import type { Tier } from '../platform.ts'
import type { Driver, Place } from './lane.ts'

/** As the engine sets them: every write is done when its call returns. */
const SYNCHRONOUS = { async_insert: 0, mutations_sync: '2', alter_sync: '2' } as const

/**
 * The engine's statements over the official client, for a server that keeps no users: the database, and for each SQL file its
 * statements and one row of the ledger, whose facts (the database's uuid and the tables that the file has made) the insert looks
 * up by itself.
 */
export function clickhouseDriver({ connection }: Tier, maxConnections: number): Driver<ChResource, ChSnapshot> {
  const admin = createClient({
    url: `http://${connection.host}:${connection.port}`,
    username: connection.username ?? 'default',
    password: connection.password ?? '',
    max_open_connections: maxConnections,
    log: { level: ClickHouseLogLevel.OFF },
    clickhouse_settings: SYNCHRONOUS,
  })
  return {
    make: async (place, changes) => {
      for (const change of changes) await makeOne(admin, place, change)
    },
    logIn: undefined,
    close: () => admin.close(),
  }
}

async function makeOne(admin: ClickHouseClient, place: Place, { target }: ChChange): Promise<void> {
  if (target.kind === 'database') {
    await admin.command({ query: createDatabase(target.spec.base, encodeMark(place.owner)) })
  } else if (target.kind === 'file') {
    await runFile(admin, place, target.spec)
  } else throw new Error(`The floor knows no statements for ${target.id}: it is for servers that keep no users`)
}

async function runFile(admin: ClickHouseClient, { owner }: Place, { base, file }: FileSpec): Promise<void> {
  // Settings travel in the address, where the server reads the current database too.
  const inside: Readonly<Record<string, string>> = { database: base }
  for (const query of splitStatements(file.body)) await admin.command({ query, clickhouse_settings: inside })
  await admin.command({
    query: `INSERT INTO ${CONTROL}.ledger (database, database_uuid, version, name, checksum, applied_by, done, before, made, dropped)
      SELECT {base:String}, (SELECT uuid FROM system.databases WHERE name = {base:String}), {version:String}, {name:String},
        {checksum:String}, {by:String}, true, [], (SELECT groupArray(name) FROM system.tables WHERE database = {base:String}), []`,
    query_params: { base, version: file.version, name: file.name, checksum: file.checksum, by: owner.installation },
  })
}
