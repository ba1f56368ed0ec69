/** Fleets of tenants on one Postgres Database, and what their rollouts are asked and say. */
import type { Database, DatabaseManifest } from '@tenantry/crds/database.ts'
import type { RolloutStatus } from '@tenantry/crds/schema.ts'
import type { TenantDatabaseStatus } from '@tenantry/crds/tenant.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { expect } from 'vitest'
import { type TestOperator, until, untilCondition } from './operator.ts'
import { READY } from './platform.ts'
import { freshPostgres } from './stack.ts'
import { getTenant } from './watching.ts'

type SchemaInput = NonNullable<DatabaseManifest['spec']['schema']>

export interface Fleet {
  readonly op: TestOperator
  readonly name: string
  readonly postgres: Connection
  readonly tenants: readonly string[]
  /** Applies the Database again, with other settings of spec.schema. */
  readonly change: (schema: Partial<SchemaInput>) => Promise<unknown>
  readonly files: (files: Readonly<Record<string, string>>) => Promise<void>
  readonly tenant: (name: string, suspended?: boolean) => Promise<void>
  readonly database: () => Promise<Database>
  readonly rollout: () => Promise<RolloutStatus>
  /** What a tenant's status says of the Database. */
  readonly at: (tenant: string) => Promise<TenantDatabaseStatus>
  /** Versions by tenant. */
  readonly versions: () => Promise<readonly (string | undefined)[]>
}

/** Tables that tenants share have a column for them. */
export const SHARED = {
  '1_notes.sql': `create table notes (
    tenant_id text not null default tenantry.tenant_id(), id bigint, text text, primary key (tenant_id, id));`,
}

export const FIRST = { '1_notes.sql': 'create table notes (id bigint primary key, text text);' }

/** Makes a Database with one file, a number of tenants on it, and waits until all of them are ready. */
export async function makeFleet(op: TestOperator, name: string, count: number, isolation: 'Schema' | 'Row' = 'Schema') {
  const postgres = await freshPostgres()
  const fleet = fleetOf(op, { name, postgres, count, isolation })
  await op.applySecret(name, postgres)
  await fleet.files(isolation === 'Row' ? SHARED : FIRST)
  await fleet.change({})
  await untilCondition(op, DATABASES, name, { condition: READY })
  await Promise.all(fleet.tenants.map((tenant) => fleet.tenant(tenant)))
  await Promise.all(fleet.tenants.map((tenant) => untilCondition(op, TENANTS, tenant, { condition: READY })))
  return fleet
}

interface Making {
  readonly name: string
  readonly postgres: Connection
  readonly count: number
  readonly isolation: 'Schema' | 'Row'
}

function fleetOf(op: TestOperator, { name, postgres, count, isolation }: Making): Fleet {
  const tenants = Array.from({ length: count }, (_, i) => `${name}-${i}`)
  const sources = [{ configMapRef: { name } }]
  const shards = [{ name: 's0', connectionSecretRef: { name } }]
  const at = async (tenant: string): Promise<TenantDatabaseStatus> => {
    const { status } = await getTenant(op, tenant)
    return status?.databases?.find((one) => one.name === name) ?? { name }
  }
  const database = async (): Promise<Database> => {
    const found = await op.kube.get(DATABASES, { namespace: op.namespace, name })
    if (!found) throw new Error(`there is no Database ${name}`)
    return found
  }
  return {
    op,
    name,
    postgres,
    tenants,
    at,
    database,
    rollout: async () => (await database()).status?.rollout ?? {},
    versions: async () => (await Promise.all(tenants.map(at))).map(({ schemaVersion }) => schemaVersion),
    files: (files) => op.applyFiles(name, files),
    change: async (schema) => {
      const spec = { engine: 'PostgreSQL', isolation, interval: '1h', shards } as const
      const { metadata } = await op.applyDatabase({ name, spec: { ...spec, schema: { sources, ...schema } } })
      // Files that come before the operator has seen the settings are rolled out by the earlier ones.
      await until(`Database ${name} to be looked at as it is now`, async () => {
        expect((await database()).status?.observedGeneration).toBeGreaterThanOrEqual(metadata.generation ?? 0)
      })
    },
    tenant: async (tenant, suspended = false) => {
      await op.applyTenant({
        name: tenant,
        spec: { suspended, deletionPolicy: 'Delete', databases: [{ name, databaseRef: { name } }] },
      })
    },
  }
}

/** Waits until a Database's rollout is as wanted, and returns it. */
export async function untilRollout(fleet: Fleet, wanted: Partial<RolloutStatus>): Promise<RolloutStatus> {
  let last: RolloutStatus = {}
  await until(`the rollout of ${fleet.name} to be ${JSON.stringify(wanted)}`, async () => {
    last = await fleet.rollout()
    expect(last).toMatchObject(wanted)
  })
  return last
}

/** Waits until what the status of a tenant says of the fleet's Database is as wanted. */
export async function untilAt(fleet: Fleet, tenant: string, wanted: Partial<TenantDatabaseStatus>): Promise<void> {
  await until(`Tenant ${tenant} to be ${JSON.stringify(wanted)}`, async () => {
    expect(await fleet.at(tenant)).toMatchObject(wanted)
  })
}

/** Labels a Tenant as one of the canaries. */
export async function markCanary({ op }: Fleet, tenant = ''): Promise<void> {
  const ref = { namespace: op.namespace, name: tenant }
  await op.kube.patch(TENANTS, ref, { metadata: { labels: { canary: 'yes' } } }, { type: 'merge' })
}

export const CANARY = { matchLabels: { canary: 'yes' } }
