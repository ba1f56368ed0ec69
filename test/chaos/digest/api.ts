import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import { type KubeObject, SECRETS, type Secret } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { Redis } from 'ioredis'
import { withPostgres } from '../lab.ts'
import { decoded, type Stage } from '../lifecycles/life.ts'
import type { Entry } from './digest.ts'

/** Fields that move by themselves: looking at a server twice gives two answers. */
const MOVING = new Set(['latency', 'size', 'tables', 'version', 'lastTransitionTime', 'observedGeneration', 'selector'])

/** Tenants, Databases and Secrets of the run. Of a Secret it is tried whether its login works. */
export async function digestApi(stage: Stage): Promise<readonly Entry[]> {
  const { lab, names } = stage
  const labelSelector = `chaos=${names.run}`
  const [tenants, databases, secrets] = await Promise.all([
    lab.kube.list(TENANTS, { labelSelector }),
    lab.kube.list(DATABASES, { labelSelector }),
    lab.kube.list(SECRETS, { labelSelector: `${LABEL_MANAGED}=true` }),
  ])
  // What belongs to nobody any more is the garbage collector's, whenever it comes.
  const alive = new Set(tenants.items.map(({ metadata }) => metadata.uid))
  const mine = secrets.items.filter(
    ({ metadata: { namespace, ownerReferences = [] } }) =>
      namespace?.startsWith(`${names.run}-`) &&
      (ownerReferences.length === 0 || ownerReferences.some(({ uid }) => alive.has(uid))),
  )
  const custom: readonly KubeObject[] = [...tenants.items, ...databases.items]
  const hidden = await Promise.all(mine.map((secret) => digestSecret(stage, secret)))
  return [...custom.flatMap(digestObject), ...hidden.flat()]
}

function digestObject(object: KubeObject): readonly Entry[] {
  const { kind = '', metadata } = object
  const { spec, status = {} } = object as KubeObject & { spec: object; status?: { observedGeneration?: number } }
  const path = `api ${kind} ${metadata.namespace}/${metadata.name}`
  const { annotations = {}, finalizers = [], deletionTimestamp } = metadata
  const settled = status.observedGeneration === metadata.generation
  return [
    [`${path} metadata`, { annotations, finalizers, deleting: deletionTimestamp !== undefined, settled }],
    [`${path} spec`, spec],
    ...Object.entries(status).flatMap(([field, value]): Entry[] =>
      MOVING.has(field) ? [] : leaves(`${path} status.${field}`, value),
    ),
  ]
}

/** One entry for each member of a list, so that a difference names what differs. */
function leaves(path: string, value: unknown): Entry[] {
  if (!Array.isArray(value)) return [[path, still(value)]]
  return value.map((item: { type?: string; name?: string }, index) => [
    `${path}[${item.type ?? item.name ?? index}]`,
    still(item),
  ])
}

function still(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(still)
  if (typeof value !== 'object' || value === null) return value
  const { type, message } = value as { type?: unknown; message?: unknown }
  // How many others there were to try to read from depends on who was there first.
  const calm = type === 'Isolated' ? { message: String(message).replaceAll(/\d+ \w+/g, 'some') } : {}
  const kept = Object.entries({ ...value, ...calm }).filter(([key]) => !MOVING.has(key))
  return Object.fromEntries(kept.map(([key, item]) => [key, still(item)]))
}

async function digestSecret(stage: Stage, secret: Secret): Promise<readonly Entry[]> {
  const { namespace = '', name, ownerReferences = [] } = secret.metadata
  const data = decoded(secret)
  const { password = '' } = data
  const hidden = Object.entries(data).map(([key, value]) => [
    key,
    password ? value.replaceAll(password, '<password>').replaceAll(encodeURIComponent(password), '<password>') : value,
  ])
  const { port: _port, ...values } = Object.fromEntries(hidden)
  const before = stage.credentials.get(`${namespace}/${name}`)
  return [
    [
      `api Secret ${namespace}/${name}`,
      {
        values,
        owners: ownerReferences.map(({ kind, name: owner }) => `${kind} ${owner}`),
        ...(before !== undefined && { credential: before === password ? 'kept' : 'changed' }),
        login: await login(stage, data),
      },
    ],
  ]
}

async function login(stage: Stage, data: Readonly<Record<string, string>>): Promise<string> {
  const { username = '', password = '', database, uri = '' } = data
  const { servers } = stage.lab
  if (uri.startsWith('postgres')) {
    const connection = { ...servers.postgres, username, password, ...(database !== undefined && { database }) }
    return await withPostgres(connection, (client) => client.query('SELECT 1')).then(
      () => 'works',
      (error: { code?: string }) => `refused ${error.code ?? ''}`,
    )
  }
  if (!uri.startsWith('redis')) return 'not tried'
  const { host, port } = servers.redis
  const redis = new Redis({
    host,
    port,
    username,
    password,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
  })
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    await redis.ping()
    return 'works'
  } catch {
    return 'refused'
  } finally {
    redis.disconnect()
  }
}
