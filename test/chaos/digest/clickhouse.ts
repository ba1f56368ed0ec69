import type { Stage } from '../lifecycles/life.ts'
import type { Entry } from './digest.ts'

/** Databases, tables, rows and ledger of the run. */
export async function digestClickHouse({ lab, names }: Stage): Promise<readonly Entry[]> {
  const bases = names.bases()
  const rows = async <Row>(query: string): Promise<readonly Row[]> => {
    const result = await lab.clickhouse.query({ query, query_params: { bases }, format: 'JSONEachRow' })
    return await result.json<Row>()
  }
  const databases = await rows<{ name: string; comment: string }>(
    'SELECT name, comment FROM system.databases WHERE name IN {bases:Array(String)}',
  )
  const tables = await rows<{ database: string; name: string; statement: string }>(
    'SELECT database, name, create_table_query AS statement FROM system.tables WHERE database IN {bases:Array(String)}',
  )
  const contents = await Promise.all(
    tables.map(({ database, name }) => rows<object>(`SELECT * FROM ${database}.${name} ORDER BY ALL`)),
  )
  return [
    ...databases.map(({ name, comment }): Entry => [`clickhouse database ${name}`, comment]),
    ...tables.map(({ database, name, statement }): Entry => [`clickhouse table ${database}.${name}`, statement]),
    ...tables.map(({ database, name }, index): Entry => [`clickhouse rows ${database}.${name}`, contents[index]]),
    ...(await control(rows)),
  ]
}

/** What was applied, as the operator reads it: that a file was begun once more says nothing yet. */
async function control(rows: <Row>(query: string) => Promise<readonly Row[]>): Promise<readonly Entry[]> {
  const exists = await rows<{ n: number }>("SELECT 1 AS n FROM system.databases WHERE name = 'tenantry'")
  if (exists.length === 0) return []
  const ledger = await rows<{ database: string; version: string; name: string; checksum: string; isDone: boolean }>(
    `SELECT database, version, argMax(name, seq) AS name, argMaxIf(checksum, seq, done) AS checksum, max(done) AS isDone
     FROM tenantry.ledger WHERE database IN {bases:Array(String)} GROUP BY database, version`,
  )
  const registry = await rows<{ id: string; mark: string }>(
    'SELECT id, mark FROM tenantry.registry FINAL WHERE base IN {bases:Array(String)}',
  )
  return [
    ...ledger.map(({ database, version, ...rest }): Entry => [`clickhouse ledger ${database} ${version}`, rest]),
    ...registry.map(({ id, mark }): Entry => [`clickhouse registry ${id}`, mark]),
  ]
}
