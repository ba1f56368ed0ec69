/** What benchmarks run on: an embedded stack of their own, the operator as its own process, and one Database per engine. */
import { createHash } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { KubeConfig } from '@kubernetes/client-node'
import { GROUP } from '@tenantry/crds/common.ts'
import type { Database, DatabaseSpec } from '@tenantry/crds/database.ts'
import type { Connection, EngineName, MigrationFile } from '@tenantry/engines/model.ts'
import { OPERATOR_COMMAND } from '@tenantry/operator/command.ts'
import { type Config, parseConfig } from '@tenantry/operator/config.ts'
import { createClient, type KubeClient } from '@tenantry/operator/kube/client.ts'
import {
  CONFIG_MAPS,
  type ConfigMap,
  type KubeObject,
  NAMESPACES,
  type ResourceType,
  SECRETS,
} from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { Client, escapeIdentifier } from 'pg'
import { type Assets, ensureAssets } from '../../hack/assets/assets.ts'
import { type Stack, startStack } from '../../hack/stack/stack.ts'
import { freePort } from '../../hack/stack/state.ts'
import { kubectlFor } from '../../hack/start/kubectl.ts'
import { isReady } from '../../hack/start/tenants.ts'
import { type Counters, scrape } from './metrics.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const NAMESPACE = 'bench'
const SERVED_TIMEOUT_MS = 60_000
const DATABASE_TIMEOUT_MS = 60_000
const POLL_MS = 100

/** On what the operator looks after; what a floor makes carries another value. */
export const SIDE = `bench.${GROUP}/side`

/** A Database of the platform, with all that is needed to do its work without the operator. `name` is the Database's. */
export interface Tier {
  readonly name: string
  readonly engine: EngineName
  readonly isolation: DatabaseSpec['isolation']
  readonly connection: Connection
  readonly files: readonly MigrationFile[]
}

export interface Platform {
  readonly stack: Stack
  readonly kubeConfig: KubeConfig
  readonly kube: KubeClient
  readonly namespace: string
  /** The operator's settings. */
  readonly config: Config
  readonly tiers: readonly Tier[]
  /** What the operator's process has counted so far. */
  metrics(): Promise<Counters>
}

export interface PlatformOptions {
  /** Takes one line without a newline. */
  readonly log: (line: string) => void
  readonly signal: AbortSignal
  /** A folder for the operator's CPU profile, which it writes when it ends. */
  readonly profile?: string
}

/**
 * Brings everything up in a temporary folder, runs `use`, and takes everything down again, whatever happens. Rejects
 * when a program crashes and, with the signal's reason, when `signal` aborts.
 */
export async function withPlatform<T>(options: PlatformOptions, use: (platform: Platform) => Promise<T>): Promise<T> {
  return await withStack(options, async (started) => {
    const platform = await bringUp(started.stack, { ...started, ...options })
    try {
      return await use(platform)
    } finally {
      await platform.kube.close()
    }
  })
}

/** An embedded stack in a temporary folder. */
export interface Started {
  readonly stack: Stack
  readonly assets: Assets
  readonly dir: string
}

/** Like `withPlatform`, without an operator and without anything in Kubernetes. */
export async function withStack<T>(options: PlatformOptions, use: (started: Started) => Promise<T>): Promise<T> {
  const { log, signal } = options
  const assets = await unlessAborted(signal, ensureAssets({ log }))
  const dir = await mkdtemp(join(tmpdir(), 'tenantry-bench-'))
  try {
    // mkdtemp's folder is closed to others, and Postgres may have to run as another user.
    await chmod(dir, 0o755)
    const stack = await startStack({ dir, assets, log, signal, fresh: true })
    try {
      const crashed = new Promise<never>((_, fail) => stack.onCrash(({ message }) => fail(new Error(message))))
      return await unlessAborted(signal, Promise.race([use({ stack, assets, dir }), crashed]))
    } finally {
      log('Stopping')
      await stack.stop()
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Rejects with the signal's reason as soon as it aborts; what the work does afterwards concerns nobody. */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true })
  return await Promise.race([work, aborted.promise])
}

type BringUp = PlatformOptions & Started

async function bringUp(stack: Stack, options: BringUp): Promise<Platform> {
  const { kubeConfig, kube } = await openKube(options, options.signal)
  const { url, config } = await runOperator(stack, options)
  await kube.create(NAMESPACES, { metadata: { name: NAMESPACE } })
  const tiers = await makeTiers(stack)
  for (const tier of tiers) await makeDatabase(kube, tier)
  for (const { name } of tiers) await untilReady(kube, name, options.signal)
  options.log('Databases are ready')
  return { stack, kubeConfig, kube, namespace: NAMESPACE, config, tiers, metrics: () => scrape(`${url}/metrics`) }
}

/** Installs the custom resources and waits until they are served. */
export async function openKube(
  { stack, assets, dir }: Started,
  signal: AbortSignal,
): Promise<Pick<Platform, 'kubeConfig' | 'kube'>> {
  const kubectl = kubectlFor(assets.kubectl, stack.kubeconfig, join(dir, 'kubectl-cache'))
  await kubectl(['apply', '--server-side', '-f', join(root, 'crds/generated')])
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(stack.kubeconfig)
  const kube = createClient({ kubeConfig })
  await untilServed(kube, signal)
  return { kubeConfig, kube }
}

/** As production runs it: a process of its own with the settings it has by default, those of our environment excepted. */
async function runOperator(stack: Stack, { profile }: BringUp): Promise<{ url: string; config: Config }> {
  const url = `http://127.0.0.1:${await freePort()}`
  const settings = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('TENANTRY_'))),
    TENANTRY_HTTP_HOST: '127.0.0.1',
    TENANTRY_HTTP_PORT: new URL(url).port,
    TENANTRY_INSTALLATION: 'bench',
    TENANTRY_SELECTOR: `${SIDE}=operator`,
  }
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
  const args = [...profiling, ...OPERATOR_COMMAND]
  const env = { ...settings, KUBECONFIG: stack.kubeconfig }
  await stack.run({ name: 'operator', command: process.execPath, args, env }, async () => {
    const response = await fetch(`${url}/readyz`)
    if (!response.ok) throw new Error(`/readyz answered ${response.status}`)
  })
  return { url, config: parseConfig(settings as Readonly<Record<string, string>>) }
}

/** Two tables for each tenant in Postgres and one in ClickHouse. */
async function makeTiers({ postgres, redis, clickhouse }: Stack): Promise<readonly Tier[]> {
  const oltp = { ...postgres, database: 'oltp' }
  await makePostgresDatabase(postgres, oltp.database)
  const customers =
    'create table customers (id bigint generated always as identity primary key, name text not null, email text unique);'
  const orders =
    'create table orders (id bigint generated always as identity primary key, customer bigint references customers, placed timestamptz not null);\n' +
    'create index on orders (customer, placed);'
  const events =
    'CREATE TABLE IF NOT EXISTS events (at DateTime, kind LowCardinality(String)) ENGINE = MergeTree ORDER BY at;'
  return [
    {
      name: 'oltp',
      engine: 'PostgreSQL',
      isolation: 'Schema',
      connection: oltp,
      files: [file('1', '0001_customers.sql', customers), file('2', '0002_orders.sql', orders)],
    },
    { name: 'cache', engine: 'Redis', isolation: 'Prefix', connection: redis, files: [] },
    {
      name: 'analytics',
      engine: 'ClickHouse',
      isolation: 'Database',
      connection: clickhouse,
      files: [file('1', '0001_events.sql', events)],
    },
  ]
}

export function file(version: string, name: string, body: string): MigrationFile {
  return { version, name, body, checksum: createHash('sha256').update(body).digest('hex') }
}

export async function makePostgresDatabase(connection: Connection, name: string): Promise<void> {
  const { host, port, username: user, password, database } = connection
  const client = new Client({ host, port, user, password, database })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${escapeIdentifier(name)}`)
  } finally {
    await client.end()
  }
}

async function makeDatabase(kube: KubeClient, { name, engine, isolation, connection, files }: Tier): Promise<void> {
  const metadata = { namespace: NAMESPACE, name }
  await kube.create(SECRETS, { metadata, data: secretOf(connection) })
  await makeSources(kube, name, files)
  const spec = {
    engine,
    isolation,
    shards: [{ name: 's0', connectionSecretRef: { name } }],
    ...(files.length > 0 && { schema: { sources: [{ configMapRef: { name } }] } }),
  }
  const database = { metadata: { ...metadata, labels: { [SIDE]: 'operator' } }, spec } as unknown as Database
  await kube.create<KubeObject>(DATABASES, database)
}

/** The `data` of a connection Secret. */
export function secretOf({ tls: _tls, ...values }: Connection): Readonly<Record<string, string>> {
  const entries = Object.entries(values)
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(String(value)).toString('base64')]))
}

/** The ConfigMap of a Database's SQL files; none without files. */
export async function makeSources(kube: KubeClient, name: string, files: readonly MigrationFile[]): Promise<void> {
  if (files.length === 0) return
  const data = Object.fromEntries(files.map(({ name: key, body }) => [key, body]))
  await kube.create<ConfigMap>(CONFIG_MAPS, { metadata: { namespace: NAMESPACE, name }, data })
}

/** `kubectl wait` fails on a definition that has no conditions yet. */
async function untilServed(kube: KubeClient, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + SERVED_TIMEOUT_MS
  for (;;) {
    try {
      await Promise.all([TENANTS, DATABASES].map((type: ResourceType) => kube.list(type, { limit: 1, signal })))
      return
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
    }
    await sleep(POLL_MS, undefined, { signal })
  }
}

export async function untilReady(kube: KubeClient, name: string, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + DATABASE_TIMEOUT_MS
  for (;;) {
    const database = await kube.get(DATABASES, { namespace: NAMESPACE, name })
    if (database && isReady(database)) return
    if (performance.now() > giveUpAt) {
      const why = JSON.stringify(database?.status?.conditions ?? [])
      throw new Error(`Database ${name} was not ready within ${DATABASE_TIMEOUT_MS / 1000} s: ${why}`)
    }
    await sleep(POLL_MS, undefined, { signal })
  }
}
