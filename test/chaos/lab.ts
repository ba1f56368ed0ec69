/** Where plans run: the embedded stack, reached directly, with every program restartable. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClickHouseClient, createClient as createClickHouse } from '@clickhouse/client'
import { KubeConfig } from '@kubernetes/client-node'
import type { Connection } from '@tenantry/engines/model.ts'
import { createClient, type KubeClient } from '@tenantry/operator/kube/client.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { Redis } from 'ioredis'
import { Client, escapeIdentifier, Pool } from 'pg'
import { applyCrds } from '../support/crds.ts'

/** Direct, administrative access to the servers. */
export interface Servers {
  readonly kubeconfig: string
  readonly postgres: Connection
  readonly redis: Connection
  readonly clickhouse: Connection
}

export interface Lab {
  readonly servers: Servers
  readonly kubeConfig: KubeConfig
  /** The harness's own client: its requests go through no proxy. */
  readonly kube: KubeClient
  readonly postgres: Pool
  readonly redis: Redis
  readonly clickhouse: ClickHouseClient
  /** Makes a database that counts what is created and dropped in it. */
  createDatabase(name: string): Promise<void>
  dropDatabase(name: string): Promise<void>
  /** Ends and starts a program of the stack and waits until it answers; undefined where the stack cannot do that. */
  readonly restart: ((program: string) => Promise<void>) | undefined
  close(): Promise<void>
}

const TEMPLATE = 'chaos_template'

/** Counts creations and drops inside a database, with the transaction that makes them: what is rolled back never was. */
const AUDIT = `
CREATE SCHEMA chaos_audit;
CREATE TABLE chaos_audit.log (op text NOT NULL, type text NOT NULL, identity text NOT NULL);
CREATE FUNCTION chaos_audit.made() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO chaos_audit.log SELECT 'create', object_type, object_identity FROM pg_event_trigger_ddl_commands()
    WHERE command_tag IN ('CREATE TABLE', 'CREATE SCHEMA') AND object_type IN ('table', 'schema');
END $$;
CREATE FUNCTION chaos_audit.dropped() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO chaos_audit.log SELECT 'drop', object_type, object_identity FROM pg_event_trigger_dropped_objects()
    WHERE object_type IN ('table', 'schema');
END $$;
CREATE EVENT TRIGGER chaos_made ON ddl_command_end EXECUTE FUNCTION chaos_audit.made();
CREATE EVENT TRIGGER chaos_dropped ON sql_drop EXECUTE FUNCTION chaos_audit.dropped();`

export function freshRun(): string {
  return `c${randomBytes(3).toString('hex')}z`
}

/** Connects to the servers, installs the custom resources and the template of databases. */
export async function openLab(servers: Servers, restart?: (program: string) => Promise<void>): Promise<Lab> {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(servers.kubeconfig)
  const kube = createClient({ kubeConfig })
  await installCrds(kube)
  const postgres = new Pool({ ...pgConfig(servers.postgres), max: 8 })
  postgres.on('error', () => undefined)
  const redis = new Redis(redisOptions(servers.redis))
  redis.on('error', () => undefined)
  const clickhouse = createClickHouse({
    url: `http://${servers.clickhouse.host}:${servers.clickhouse.port}`,
    username: servers.clickhouse.username ?? 'default',
    password: servers.clickhouse.password ?? '',
    request_timeout: 60_000,
  })
  await makeTemplate(postgres, servers.postgres)
  return {
    ...{ servers, kubeConfig, kube, postgres, redis, clickhouse, restart },
    createDatabase: async (name) => {
      await postgres.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${TEMPLATE} STRATEGY FILE_COPY`)
    },
    dropDatabase: async (name) => {
      await postgres.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`)
    },
    close: async () => {
      redis.disconnect()
      await Promise.allSettled([postgres.end(), clickhouse.close(), kube.close()])
    },
  }
}

export function pgConfig({ host, port, username, password, database }: Connection): object {
  return { host, port, user: username, password, database, connectionTimeoutMillis: 10_000 }
}

function redisOptions({ host, port, username = '', password = '' }: Connection) {
  return {
    host,
    port,
    username,
    password,
    enableReadyCheck: false,
    retryStrategy: () => 100,
    maxRetriesPerRequest: null,
  }
}

/** One short connection to a database of the server, as its administrator or as somebody else. */
export async function withPostgres<T>(connection: Connection, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(pgConfig(connection))
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await use(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function makeTemplate(pool: Pool, connection: Connection): Promise<void> {
  const { rowCount } = await pool.query('SELECT FROM pg_database WHERE datname = $1', [TEMPLATE])
  if (rowCount) return
  await pool.query(`CREATE DATABASE ${TEMPLATE}`)
  await withPostgres({ ...connection, database: TEMPLATE }, (client) => client.query(AUDIT))
}

/** Tries until `check` does not throw; then throws what it threw last. */
export async function eventually<T>(check: () => Promise<T>, timeoutMs = 60_000): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
    }
    await sleep(200)
  }
}

async function installCrds(kube: KubeClient): Promise<void> {
  await applyCrds(kube)
  await eventually(async () => {
    await kube.list(TENANTS, { limit: 1 })
    await kube.list(DATABASES, { limit: 1 })
  })
}
