/** The embedded stack for tests (`*.real.test.ts`): started once a run by setup.ts, shared by all files. */
import { randomBytes } from 'node:crypto'
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import type { Connection } from '@tenantry/engines/model.ts'
import { Client, escapeIdentifier } from 'pg'
import { afterAll, inject } from 'vitest'

/** Administrative access to the shared servers. `kubeconfig` is the path of a file. */
export interface TestStack {
  readonly kubeconfig: string
  readonly postgres: Connection
  readonly redis: Connection
  readonly clickhouse: Connection
}

declare module 'vitest' {
  interface ProvidedContext {
    stack: TestStack
  }
}

const cleanups: (() => Promise<unknown>)[] = []

afterAll(async () => {
  await Promise.allSettled(cleanups.splice(0).map((cleanup) => cleanup()))
})

export function useStack(): TestStack {
  return inject('stack')
}

/** Ten random hexadecimal digits, for names that no other test has. */
export function freshSuffix(): string {
  return randomBytes(5).toString('hex')
}

/** Makes a namespace on the real API server; its deletion is asked for, not awaited, when the file's tests are done. */
export async function freshNamespace(prefix = 'test'): Promise<string> {
  const config = new KubeConfig()
  config.loadFromFile(useStack().kubeconfig)
  const api = config.makeApiClient(CoreV1Api)
  const name = `${prefix}-${freshSuffix()}`
  await api.createNamespace({ body: { metadata: { name } } })
  cleanups.push(() => api.deleteNamespace({ name }))
  return name
}

/** Makes an empty database on the shared Postgres server; it is dropped when the file's tests are done. Roles are server-wide. */
export async function freshPostgres(): Promise<Connection> {
  const { postgres } = useStack()
  const database = `test_${freshSuffix()}`
  await runOnPostgres(postgres, `CREATE DATABASE ${escapeIdentifier(database)}`)
  cleanups.push(() => runOnPostgres(postgres, `DROP DATABASE ${escapeIdentifier(database)} WITH (FORCE)`))
  return { ...postgres, database }
}

async function runOnPostgres(connection: Connection, statement: string): Promise<void> {
  const { host, port, username: user, password, database } = connection
  const client = new Client({ host, port, user, password, database })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
