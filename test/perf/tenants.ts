import { API_VERSION } from '@tenantry/crds/common.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import { type Api, tenantsPath } from './api.ts'
import { type Platform, SIDE } from './platform.ts'

/** Objects that are created at a time, by the benchmark for the operator and for the floor alike. */
const CREATED_AT_A_TIME = 32

export type Side = 'operator' | 'floor'

/** Names of one round's tenants, such as `operator-2-0042`. */
export function tenantNames(side: Side, round: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `${side}-${round}-${String(i).padStart(4, '0')}`)
}

/** Creates a Tenant over all tiers for each name, as fast as the API takes them, and calls `made` with each answer. */
export async function createTenants(
  api: Api,
  { namespace, tiers }: Platform,
  { names, side }: { readonly names: readonly string[]; readonly side: Side },
  hooks: { readonly sending?: (name: string) => void; readonly made?: (tenant: Tenant) => Promise<void> },
): Promise<void> {
  const slots = new Semaphore(CREATED_AT_A_TIME)
  const databases = tiers.map(({ name }) => ({ name, databaseRef: { name } }))
  const create = async (name: string): Promise<void> => {
    const text = await slots.run(() => {
      hooks.sending?.(name)
      const metadata = { namespace, name, labels: { [SIDE]: side } }
      const tenant = {
        apiVersion: API_VERSION,
        kind: 'Tenant',
        metadata,
        spec: { deletionPolicy: 'Delete', databases },
      }
      return api.send('POST', tenantsPath(namespace), JSON.stringify(tenant))
    })
    await hooks.made?.(JSON.parse(text) as Tenant)
  }
  await Promise.all(names.map(create))
}
