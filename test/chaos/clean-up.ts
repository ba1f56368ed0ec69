import { REGISTRY } from '@tenantry/engines/redis/model.ts'
import { type KubeObject, NAMESPACES, type ResourceType } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { escapeIdentifier } from 'pg'
import type { Stage } from './lifecycles/life.ts'

/** Removes what a run has left, so that the next one finds the servers as they were. */
export async function cleanUp(stage: Stage): Promise<void> {
  await Promise.allSettled([cleanApi(stage), cleanPostgres(stage), cleanRedis(stage), cleanClickHouse(stage)])
}

async function cleanApi({ lab, names }: Stage): Promise<void> {
  const labelSelector = `chaos=${names.run}`
  for (const type of [TENANTS, DATABASES] as readonly ResourceType[]) {
    const { items } = await lab.kube.list(type, { labelSelector })
    await Promise.all(items.map((item) => releaseObject(lab.kube, type, item)))
  }
  // Deleting a namespace costs more than everything that happened in it.
  if (lab.restart) return
  const { items } = await lab.kube.list(NAMESPACES, { labelSelector })
  await Promise.all(items.map(({ metadata }) => lab.kube.remove(NAMESPACES, { name: metadata.name })))
}

async function releaseObject(kube: Stage['lab']['kube'], type: ResourceType, { metadata }: KubeObject): Promise<void> {
  const ref = { namespace: metadata.namespace ?? '', name: metadata.name }
  await kube.patch(type, ref, { metadata: { finalizers: null } }, { type: 'merge' }).catch(() => undefined)
  await kube.remove(type, ref).catch(() => undefined)
}

async function cleanPostgres({ lab, names, made }: Stage): Promise<void> {
  const bases = names.bases()
  const { rows: own } = await lab.postgres.query<{ name: string }>(
    'SELECT datname::text AS name FROM pg_database WHERE datname = ANY($1)',
    [[...made, ...bases]],
  )
  for (const { name } of own) await lab.dropDatabase(name)
  const { rows: roles } = await lab.postgres.query<{ name: string }>(
    `SELECT rolname::text AS name FROM pg_roles WHERE substring(rolname from '^([td]_[a-z0-9_]+?_[0-9a-f]{8})') = ANY($1)
       OR shobj_description(oid, 'pg_authid') LIKE '%"' || $2 || '"%'`,
    [bases, names.run],
  )
  if (roles.length > 0) {
    await lab.postgres.query(`DROP ROLE IF EXISTS ${roles.map(({ name }) => escapeIdentifier(name)).join(', ')}`)
  }
}

async function cleanRedis({ lab, names }: Stage): Promise<void> {
  const bases = names.bases()
  const lines = (await lab.redis.call('ACL', 'LIST')) as string[]
  const logins = lines
    .map((line) => line.split(' ')[1] ?? '')
    .filter((login) => bases.some((base) => login.startsWith(base)))
  if (logins.length > 0) await lab.redis.call('ACL', 'DELUSER', ...logins)
  if (bases.length > 0) await lab.redis.hdel(REGISTRY, ...bases)
  for (const base of bases) {
    const keys = await lab.redis.keys(`{${base}}:*`)
    if (keys.length > 0) await lab.redis.unlink(...keys)
  }
}

async function cleanClickHouse({ lab, names }: Stage): Promise<void> {
  const query = 'SELECT name FROM system.databases WHERE name IN {bases:Array(String)}'
  const found = await lab.clickhouse.query({ query, query_params: { bases: names.bases() }, format: 'JSONEachRow' })
  for (const { name } of await found.json<{ name: string }>()) {
    await lab.clickhouse.command({ query: `DROP DATABASE IF EXISTS ${name} SYNC` })
  }
}
