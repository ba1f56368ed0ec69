/** What the operator does with an engine, in two steps, for tests. */
import type { Batch, MigrationFile, Session } from '../../model.ts'
import { type ChResource, type ChSnapshot, clickhouse } from '../engine.ts'
import type { TestTenant } from './server.ts'
import { LIMITS, logins, secrets } from './subjects.ts'

type Changes = Batch<ChResource>['changes']

export function batch(tenant: TestTenant, changes: Changes): Batch<ChResource> {
  return { owner: tenant.owner, changes, secrets }
}

export function ownDatabase(tenant: TestTenant, files: readonly MigrationFile[]): readonly ChResource[] {
  const { name, tenantId, shared } = tenant
  const input = { name, tenantId, shared, suspended: false, logins: logins(name), limits: LIMITS, files }
  return clickhouse.tenantResources({ ...input, isolation: 'Database' })
}

/** `make` brings a tenant to what is wanted, or throws what stopped it. */
export function operate(session: Session<ChResource, ChSnapshot>, signal: AbortSignal) {
  const diff = async (tenant: TestTenant, wanted: readonly ChResource[]): Promise<Changes> =>
    clickhouse.diff(tenant.owner, wanted, await session.observe([tenant.name, tenant.shared], signal))
  const make = async (tenant: TestTenant, wanted: readonly ChResource[]): Promise<void> => {
    const applied = await session.apply(batch(tenant, await diff(tenant, wanted)), signal)
    if (applied.failed) throw applied.failed.error
  }
  return { diff, make }
}
