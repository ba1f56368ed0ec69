/** Databases of one shard each, for tests that hold their changes back in some way. */
import type { Connection } from '@tenantry/engines/model.ts'
import type { Client } from 'pg'
import type { TestOperator } from './operator.ts'
import { freshPostgres, useStack } from './stack.ts'

const shard = (name: string) => ({ interval: '1s', shards: [{ name: 's0', connectionSecretRef: { name } }] })

/** The spec of a tenant of these Databases. */
export const on = (...names: string[]) => ({
  deletionPolicy: 'Delete' as const,
  databases: names.map((name) => ({ name, databaseRef: { name } })),
})

/** What keeps the Database's changes from being made at once. */
export interface Hold {
  readonly mode?: 'Plan' | 'Enforce'
  readonly approval?: 'Destructive' | 'All'
  readonly deletionPolicy?: 'Delete'
}

interface Tier {
  /** Applies the Database again, held back otherwise. */
  readonly change: (hold: Hold) => Promise<unknown>
}

/** A Postgres Database with one table for each tenant, on a database of its own, with an administrator's connection. */
export async function postgresTier(
  op: TestOperator,
  name: string,
  hold: Hold = {},
): Promise<Tier & { readonly postgres: Connection }> {
  const postgres = await freshPostgres()
  await op.applySecret(name, postgres)
  await op.applyFiles(name, { '1_notes.sql': 'create table notes (text text);' })
  const sources = [{ configMapRef: { name } }]
  const spec = { engine: 'PostgreSQL', isolation: 'Schema', schema: { sources }, ...shard(name) } as const
  await op.applyDatabase({ name, spec: { ...spec, ...hold } })
  return { postgres, change: (other) => op.applyDatabase({ name, spec: { ...spec, ...other } }) }
}

/** A Redis Database on the server that all tests share. */
export async function redisTier(op: TestOperator, name: string, hold: Hold = {}): Promise<Tier> {
  await op.applySecret(name, useStack().redis)
  const spec = { engine: 'Redis', isolation: 'Prefix', ...shard(name) } as const
  await op.applyDatabase({ name, spec: { ...spec, ...hold } })
  return { change: (other) => op.applyDatabase({ name, spec: { ...spec, ...other } }) }
}

/** A ClickHouse Database on the server that all tests share, with a database for each tenant. */
export async function clickhouseTier(op: TestOperator, name: string, hold: Hold = {}): Promise<Tier> {
  await op.applySecret(name, useStack().clickhouse)
  const spec = { engine: 'ClickHouse', isolation: 'Database', ...shard(name) } as const
  await op.applyDatabase({ name, spec: { ...spec, ...hold } })
  return { change: (other) => op.applyDatabase({ name, spec: { ...spec, ...other } }) }
}

/** Everything in Postgres whose name begins with a base name. */
export async function tracesIn(admin: Client, base: string): Promise<readonly string[]> {
  const { rows } = await admin.query<{ name: string }>(
    `select rolname as name from pg_roles where starts_with(rolname, $1)
     union all select nspname from pg_namespace where starts_with(nspname, $1)`,
    [base],
  )
  return rows.map(({ name }) => name)
}
