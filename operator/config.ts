import { AppError } from '@tenantry/crds/errors.ts'
import { z } from 'zod'

const milliseconds = z.coerce.number().int().min(1)

const environment = z.object({
  /** Part of every ownership mark: keep it when a cluster is rebuilt, choose another for a second cluster on the same servers. */
  TENANTRY_INSTALLATION: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/)
    .default('tenantry'),
  /** Label selector: only Tenants and Databases that match are looked after. Empty: all of them. */
  TENANTRY_SELECTOR: z.string().max(1024).default(''),
  /** False: no Lease is taken, and whoever started last is the one whose writes are accepted. */
  TENANTRY_LEADER_ELECTION: z.enum(['true', 'false']).default('true'),
  /** Namespace of the Lease; in a Pod its own. */
  TENANTRY_NAMESPACE: z.string().min(1).max(63).optional(),
  /** Where /metrics, /healthz, /readyz and /debug/pprof are served. */
  TENANTRY_HTTP_HOST: z.string().default('0.0.0.0'),
  TENANTRY_HTTP_PORT: z.coerce.number().int().min(0).max(65535).default(8080),
  /** True: /metrics answers only those whom the Kubernetes API lets `get` the nonResourceURL /metrics. */
  TENANTRY_METRICS_AUTH: z.enum(['true', 'false']).default('false'),
  /** True: those who may read profiles may also take heap snapshots, which hold every password in memory. */
  TENANTRY_HEAP_SNAPSHOTS: z.enum(['true', 'false']).default('false'),
  TENANTRY_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** Tenants and Databases that are worked on at a time. */
  TENANTRY_TENANT_WORKERS: z.coerce.number().int().min(1).max(1024).default(64),
  TENANTRY_DATABASE_WORKERS: z.coerce.number().int().min(1).max(256).default(16),
  /** Connections per shard, also the number of tenants that are applied to one shard at a time; of ClickHouse four times as many. */
  TENANTRY_SHARD_CONNECTIONS: z.coerce.number().int().min(1).max(64).default(4),
  TENANTRY_CONNECT_TIMEOUT_MS: milliseconds.default(5_000),
  TENANTRY_STATEMENT_TIMEOUT_MS: milliseconds.default(30_000),
})

/** The operator's settings, from the environment. Durations in milliseconds. */
export interface Config {
  readonly installation: string
  readonly selector: string
  readonly leaderElection: boolean
  /** Undefined: the Pod's own, else `default`. */
  readonly namespace: string | undefined
  readonly http: {
    readonly host: string
    readonly port: number
    readonly metricsAuth: boolean
    readonly heapSnapshots: boolean
  }
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  readonly workers: { readonly tenants: number; readonly databases: number }
  readonly shardConnections: number
  readonly connectTimeoutMs: number
  readonly statementTimeoutMs: number
}

/** Throws AppError `InvalidSpec` that names every variable that is wrong. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const parsed = environment.safeParse(env)
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new AppError('InvalidSpec', `read the configuration: ${wrong.join('; ')}`)
  }
  const values = parsed.data
  return {
    installation: values.TENANTRY_INSTALLATION,
    selector: values.TENANTRY_SELECTOR,
    leaderElection: values.TENANTRY_LEADER_ELECTION === 'true',
    namespace: values.TENANTRY_NAMESPACE,
    http: {
      host: values.TENANTRY_HTTP_HOST,
      port: values.TENANTRY_HTTP_PORT,
      metricsAuth: values.TENANTRY_METRICS_AUTH === 'true',
      heapSnapshots: values.TENANTRY_HEAP_SNAPSHOTS === 'true',
    },
    logLevel: values.TENANTRY_LOG_LEVEL,
    workers: { tenants: values.TENANTRY_TENANT_WORKERS, databases: values.TENANTRY_DATABASE_WORKERS },
    shardConnections: values.TENANTRY_SHARD_CONNECTIONS,
    connectTimeoutMs: values.TENANTRY_CONNECT_TIMEOUT_MS,
    statementTimeoutMs: values.TENANTRY_STATEMENT_TIMEOUT_MS,
  }
}
