import type { Connection } from '@tenantry/engines/model.ts'
import { Client, escapeIdentifier } from 'pg'
import type { Stack } from '../stack/stack.ts'
import type { Kubectl } from './kubectl.ts'

const NAMESPACE = 'platform'
/** Tiers of the quickstart that live on the Postgres server, in a database each. */
const POSTGRES_TIERS = ['oltp', 'billing']

/** Makes what the quickstart's Databases refer to: a database for each Postgres tier, and every tier's connection Secret. */
export async function makeConnections(stack: Stack, kubectl: Kubectl): Promise<void> {
  await ensureDatabases(stack.postgres, POSTGRES_TIERS)
  const secrets = [
    ...POSTGRES_TIERS.map((tier) => secret(`${tier}-s0`, { ...stack.postgres, database: tier })),
    secret('cache-s0', stack.redis),
    secret('analytics-s0', stack.clickhouse),
  ]
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: secrets })
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], list)
}

function secret(name: string, { host, port, username, password, database }: Connection) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: NAMESPACE },
    stringData: { host, port: String(port), username, password, database, sslmode: 'disable' },
  }
}

async function ensureDatabases(connection: Connection, names: readonly string[]): Promise<void> {
  const { host, port, username: user, password, database } = connection
  const client = new Client({ host, port, user, password, database })
  await client.connect()
  try {
    for (const name of names) {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
      if (rowCount === 0) await client.query(`CREATE DATABASE ${escapeIdentifier(name)}`)
    }
  } finally {
    await client.end()
  }
}
