/** One lifecycle as it runs: its namespace, its databases, and the hands of a person who uses kubectl and psql. */
import type { Condition } from '@tenantry/crds/conditions.ts'
import type { Database, DatabaseManifest } from '@tenantry/crds/database.ts'
import type { Tenant, TenantManifest } from '@tenantry/crds/tenant.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import type { Informer } from '@tenantry/operator/kube/reflector.ts'
import {
  CONFIG_MAPS,
  type KubeObject,
  NAMESPACES,
  type ResourceType,
  SECRETS,
  type Secret,
} from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { eventually, type Lab, withPostgres } from '../lab.ts'
import type { Names } from '../names.ts'

/** Ports of the proxies on 127.0.0.1. */
export interface Ports {
  readonly postgres: number
  readonly redis: number
  readonly clickhouse: number
}

/** What all lifecycles of one run share. */
export interface Stage {
  readonly lab: Lab
  readonly names: Names
  readonly ports: Ports
  readonly tenants: Informer<Tenant>
  readonly databases: Informer<Database>
  /** Names of the Postgres databases made so far; they are removed with the run. */
  readonly made: Set<string>
  /** Passwords that customers have used, by `namespace/secret`. */
  readonly credentials: Map<string, string>
  /** Longest wait of one step, in milliseconds. */
  readonly patienceMs: number
}

export type Spec<M extends { readonly spec: unknown }> = M['spec']
export type Annotations = Readonly<Record<string, string>>

export interface Life {
  readonly stage: Stage
  readonly name: string
  readonly namespace: string
  /** Namespace of the Databases that all lifecycles share. */
  readonly platform: string
  applyTenant(name: string, spec: Spec<TenantManifest>, annotations?: Annotations): Promise<void>
  applyDatabase(name: string, spec: Spec<DatabaseManifest>, annotations?: Annotations): Promise<void>
  applyFiles(name: string, files: Readonly<Record<string, string>>): Promise<void>
  /** A connection Secret that leads through the proxy; for Postgres to a database of its own. */
  connect(name: string, engine: 'postgres' | 'redis' | 'clickhouse'): Promise<void>
  remove(type: ResourceType, name: string): Promise<void>
  tenant(name: string): Tenant | undefined
  database(name: string): Database | undefined
  secret(name: string): Promise<Readonly<Record<string, string>>>
  /** Runs SQL by hand, as the administrator, in the Postgres database behind a connection Secret. */
  psql<Row>(secret: string, text: string): Promise<readonly Row[]>
  /** Waits until `check` holds; throws what it threw last. */
  until(what: string, check: () => boolean | Promise<boolean>): Promise<void>
}

export function postgresDatabase(names: Names, lifecycle: string, secret: string): string {
  return `${names.run}_${lifecycle}_${secret}`.replaceAll('-', '_')
}

export async function createLife(stage: Stage, name: string): Promise<Life> {
  const { lab, names } = stage
  const namespace = names.namespace(name)
  const labels = { chaos: names.run }
  await tried(() => lab.kube.apply(NAMESPACES, { metadata: { name: namespace, labels } }, { force: true }))
  const apply = async (type: ResourceType, object: KubeObject): Promise<void> => {
    await tried(() => lab.kube.apply(type, object, { force: true }))
  }
  const connection = (secret: string): Connection => ({
    ...lab.servers.postgres,
    database: postgresDatabase(names, name, secret),
  })
  const custom = <T extends KubeObject>(own: string, spec: unknown, annotations: Annotations | undefined): T =>
    ({ metadata: { namespace, name: own, labels, ...(annotations && { annotations }) }, spec }) as unknown as T
  return {
    ...{ stage, name, namespace, platform: names.namespace('platform') },
    applyTenant: async (own, spec, annotations) => {
      names.tenant({ namespace, name: own })
      const object = custom<Tenant>(own, spec, annotations)
      stage.tenants.observe(await tried(() => lab.kube.apply(TENANTS, object, { force: true })))
    },
    applyDatabase: async (own, spec, annotations) => {
      names.database({ namespace, name: own })
      const object = custom<Database>(own, spec, annotations)
      stage.databases.observe(await tried(() => lab.kube.apply(DATABASES, object, { force: true })))
    },
    applyFiles: (own, data) => apply(CONFIG_MAPS, { metadata: { namespace, name: own }, data } as KubeObject),
    connect: async (secret, engine) => {
      const server = engine === 'postgres' ? connection(secret) : lab.servers[engine]
      if (engine === 'postgres') await makeDatabase(stage, server.database ?? '')
      const data = encoded({ ...server, port: stage.ports[engine] })
      await apply(SECRETS, { metadata: { namespace, name: secret }, data } as Secret)
    },
    remove: async (type, own) => {
      await tried(() => lab.kube.remove(type, type.namespaced ? { namespace, name: own } : { name: own }))
    },
    tenant: (own) => stage.tenants.store.get(`${namespace}/${own}`),
    database: (own) => stage.databases.store.get(`${namespace}/${own}`),
    secret: async (own) => decoded(await tried(() => lab.kube.get(SECRETS, { namespace, name: own }))),
    psql: (secret, text) =>
      tried(() => withPostgres(connection(secret), async (client) => (await client.query(text)).rows)),
    until: (what, check) => until(stage, `${name}: ${what}`, check),
  }
}

async function until(stage: Stage, what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  let failure: unknown
  try {
    await eventually(async () => {
      failure = undefined
      const holds = await Promise.resolve()
        .then(check)
        .catch((error: unknown) => {
          failure = error
          return false
        })
      if (!holds) throw new Error('not yet')
    }, stage.patienceMs)
  } catch {
    const why = failure instanceof Error ? `: ${failure.message}` : ''
    throw new Error(`waited in vain for ${what}${why}`)
  }
}

async function makeDatabase(stage: Stage, name: string): Promise<void> {
  if (stage.made.has(name)) return
  stage.made.add(name)
  stage.names.server(name)
  await stage.lab.createDatabase(name)
}

const PASSING =
  /ECONN|EPIPE|socket|terminat|shutting down|starting up|LOADING|is closed|KubernetesUnavailable|did not answer|other side closed|etcdserver/i

/** Once more for as long as a server is on its way down or up: that is the plan's doing. */
export async function tried<T>(act: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + 60_000
  for (;;) {
    try {
      return await act()
    } catch (error) {
      if (!PASSING.test(textOf(error)) || performance.now() > giveUpAt) throw error
    }
    await new Promise((wake) => setTimeout(wake, 200))
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.message} ${String(error.cause ?? '')} ${'code' in error ? String(error.code) : ''}`
}

export function condition(
  object: { readonly metadata: { readonly generation: number }; readonly status?: object } | undefined,
  wanted: Partial<Condition>,
): boolean {
  const list = (object?.status as { conditions?: readonly Condition[] } | undefined)?.conditions ?? []
  return list.some(
    (one) =>
      one.observedGeneration === object?.metadata.generation &&
      Object.entries(wanted).every(([key, value]) => one[key as keyof Condition] === value),
  )
}

function encoded({ host, port, username, password, database }: Connection): Record<string, string> {
  const entries = Object.entries({ host, port, username, password, database }).filter(
    ([, value]) => value !== undefined,
  )
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(String(value)).toString('base64')]))
}

export function decoded(secret: Secret | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  )
}
