/** The words in which lifecycles are written: each makes one step. */
import type { Condition } from '@tenantry/crds/conditions.ts'
import type { DatabaseManifest } from '@tenantry/crds/database.ts'
import type { TenantManifest } from '@tenantry/crds/tenant.ts'
import { NAMESPACES, SECRETS } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { Redis } from 'ioredis'
import { withPostgres } from '../lab.ts'
import { type Annotations, condition, type Life, type Spec } from './life.ts'

export interface Step {
  readonly title: string
  readonly run: (life: Life) => Promise<void>
}

export interface Lifecycle {
  readonly name: string
  readonly steps: readonly Step[]
}

type TenantSpec = Spec<TenantManifest>
type DatabaseSpec = Spec<DatabaseManifest>
type Entry = TenantSpec['databases'][number]

export const INTERVAL = '1s'
/** What customers have written: it must be there at the end. */
export const CANARY = 'canary'

function step(title: string, run: (life: Life) => Promise<void>): Step {
  return { title, run }
}

/** An entry for one of the shared Databases. */
export function shared(name: 'oltp' | 'cache' | 'analytics', more: Partial<Entry> = {}): (life: Life) => Entry {
  return ({ platform }) => ({ name, databaseRef: { name, namespace: platform }, ...more })
}

/** An entry for a Database of the lifecycle's own. */
export function own(name: string, more: Partial<Entry> = {}): (life: Life) => Entry {
  return () => ({ name, databaseRef: { name }, ...more })
}

export const EVERYWHERE = [shared('oltp'), shared('cache'), shared('analytics')]

type TenantOptions = Partial<Omit<TenantSpec, 'databases'>> & { readonly annotations?: Annotations }

export function tenant(
  name: string,
  entries: readonly ((life: Life) => Entry)[],
  { annotations, ...spec }: TenantOptions = {},
): Step {
  return step(`apply Tenant ${name}`, (life) =>
    life.applyTenant(
      name,
      { deletionPolicy: 'Delete', ...spec, databases: entries.map((entry) => entry(life)) },
      annotations,
    ),
  )
}

export function database(name: string, spec: Partial<DatabaseSpec> & Pick<DatabaseSpec, 'engine' | 'isolation'>): Step {
  return step(`apply Database ${name}`, (life) => {
    const shards = [{ name: 's0', connectionSecretRef: { name: `${name}-s0` } }]
    return life.applyDatabase(name, {
      interval: INTERVAL,
      shards,
      allowedTenants: { namespaces: { from: 'All' } },
      ...spec,
    })
  })
}

export function server(secret: string, engine: 'postgres' | 'redis' | 'clickhouse' = 'postgres'): Step {
  return step(`make server ${secret}`, (life) => life.connect(secret, engine))
}

export function files(name: string, data: Readonly<Record<string, string>>): Step {
  return step(`apply files ${name}`, (life) => life.applyFiles(name, data))
}

export function sources(name: string): Pick<DatabaseSpec, 'schema'> {
  return { schema: { sources: [{ configMapRef: { name } }] } }
}

export function tenantIs(name: string, wanted: Partial<Condition>): Step {
  return step(`Tenant ${name} is ${wanted.type}=${wanted.status} ${wanted.reason ?? ''}`, (life) =>
    life.until(`Tenant ${name} to be ${JSON.stringify(wanted)}`, () => condition(life.tenant(name), wanted)),
  )
}

export function ready(...names: readonly string[]): Step {
  return step(`Ready: ${names.join(', ')}`, async (life) => {
    for (const name of names) {
      await life.until(`Tenant ${name} to be ready`, () =>
        condition(life.tenant(name), { type: 'Ready', status: 'True' }),
      )
    }
  })
}

export function databaseIs(name: string, wanted: Partial<Condition>): Step {
  return step(`Database ${name} is ${wanted.type}=${wanted.status} ${wanted.reason ?? ''}`, (life) =>
    life.until(`Database ${name} to be ${JSON.stringify(wanted)}`, () => condition(life.database(name), wanted)),
  )
}

export function databaseReady(...names: readonly string[]): Step {
  return step(`Ready: ${names.join(', ')}`, async (life) => {
    for (const name of names) {
      const wanted = { type: 'Ready', status: 'True' } as const
      await life.until(`Database ${name} to be ready`, () => condition(life.database(name), wanted))
    }
  })
}

export function remove(name: string): Step {
  return step(`delete Tenant ${name}`, (life) => life.remove(TENANTS, name))
}

export function removeDatabase(name: string): Step {
  return step(`delete Database ${name}`, (life) => life.remove(DATABASES, name))
}

export function removeSecret(name: string): Step {
  return step(`delete Secret ${name}`, (life) => life.remove(SECRETS, name))
}

export const removeNamespace: Step = step('delete the namespace', (life) => life.remove(NAMESPACES, life.namespace))

export const namespaceGone: Step = step('the namespace is gone', (life) =>
  life.until('the namespace to be gone', async () => {
    return (await life.stage.lab.kube.get(NAMESPACES, { name: life.namespace })) === undefined
  }),
)

export function gone(...names: readonly string[]): Step {
  return step(`gone: ${names.join(', ')}`, async (life) => {
    for (const name of names) await life.until(`Tenant ${name} to be gone`, () => life.tenant(name) === undefined)
  })
}

export function databaseGone(name: string): Step {
  return step(`gone: ${name}`, (life) =>
    life.until(`Database ${name} to be gone`, () => life.database(name) === undefined),
  )
}

/** The Tenant has been seen by the operator, and is perhaps half made. */
export function claimed(name: string): Step {
  return step(`claimed: ${name}`, (life) =>
    life.until(`Tenant ${name} to have its finalizer`, () => (life.tenant(name)?.metadata.finalizers ?? []).length > 0),
  )
}

/** Approves the plan that the status shows. */
export function approve(name: string): Step {
  return step(`approve the plan of ${name}`, async (life) => {
    await life.until(`Tenant ${name} to show a plan`, () => life.tenant(name)?.status?.plan?.hash !== undefined)
    const annotations = { 'tenantry.dev/approved': life.tenant(name)?.status?.plan?.hash ?? '' }
    await life.stage.lab.kube.patch(
      TENANTS,
      { namespace: life.namespace, name },
      { metadata: { annotations } },
      { type: 'merge' },
    )
  })
}

/** Runs SQL by hand where a Tenant lives. `$schema` stands for its schema. */
export function byHand(secret: string, name: string, entry: string, text: string): Step {
  return step(`by hand: ${text}`, async (life) => {
    const place = life.tenant(name)?.status?.databases?.find((one) => one.name === entry)
    await life.psql(secret, text.replaceAll('$schema', place?.schema ?? '').replaceAll('$login', place?.login ?? ''))
  })
}

export function psql(secret: string, text: string): Step {
  return step(`psql: ${text}`, async (life) => void (await life.psql(secret, text)))
}

/** Waits until a query by hand answers `true`. */
export function untilSql(secret: string, name: string, entry: string, query: string): Step {
  return step(`until ${query}`, (life) =>
    life.until(query, async () => {
      const place = life.tenant(name)?.status?.databases?.find((one) => one.name === entry)
      const text = query.replaceAll('$schema', place?.schema ?? '').replaceAll('$login', place?.login ?? '')
      const [row] = await life.psql<{ ok: boolean }>(secret, `SELECT (${text}) AS ok`)
      return row?.ok === true
    }),
  )
}

export function wait(title: string, check: (life: Life) => boolean | Promise<boolean>): Step {
  return step(title, (life) => life.until(title, () => check(life)))
}

export function act(title: string, run: (life: Life) => Promise<void>): Step {
  return step(title, run)
}

/** What a customer does: logs in with the Secret and writes, once even when tried again. Under an entry of another name than a shared one, Postgres. */
export function customerWrites(name: string, ...entries: readonly string[]): Step {
  return step(`${name} writes to ${entries.join(', ')}`, async (life) => {
    for (const entry of entries) await write(life, name, entry)
  })
}

async function write(life: Life, name: string, entry: string): Promise<void> {
  const { lab } = life.stage
  const place = life.tenant(name)?.status?.databases?.find((one) => one.name === entry)
  const login = await life.secret(`${name}-${entry}`)
  life.stage.credentials.set(`${life.namespace}/${name}-${entry}`, login.password ?? '')
  const identity = { username: login.username ?? '', password: login.password ?? '' }
  if (place?.engine === 'Redis') {
    const { host, port } = lab.servers.redis
    const redis = new Redis({
      host,
      port,
      ...identity,
      enableReadyCheck: false,
      retryStrategy: () => null,
      lazyConnect: true,
    })
    redis.on('error', () => undefined)
    await redis.connect()
    await redis.set(`${place.keyPrefix}${CANARY}`, name)
    redis.disconnect()
  } else if (place?.engine === 'ClickHouse') {
    const table = `${place.database}.events`
    const found = await lab.clickhouse.query({ query: `SELECT kind FROM ${table}`, format: 'JSONEachRow' })
    if ((await found.json()).length > 0) return
    const values = [{ at: 1, kind: `${CANARY} ${name}` }]
    await lab.clickhouse.insert({ table, values, format: 'JSONEachRow' })
  } else {
    const connection = { ...lab.servers.postgres, ...identity, database: login.database ?? '' }
    const insert =
      'INSERT INTO customers (name) SELECT $1::text WHERE NOT EXISTS (SELECT FROM customers WHERE name = $1)'
    await withPostgres(connection, (client) => client.query(insert, [`${CANARY} ${name}`]))
  }
}

export async function redisByHand(life: Life, ...words: readonly string[]): Promise<unknown> {
  const [command = '', ...args] = words
  return await life.stage.lab.redis.call(command, ...args)
}

export function placeOf(life: Life, name: string, entry: string) {
  return life.tenant(name)?.status?.databases?.find((one) => one.name === entry)
}
