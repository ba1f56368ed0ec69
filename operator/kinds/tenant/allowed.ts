import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { KubeObject } from '../../kube/types.ts'

/** Throws `ReferenceNotAllowed` unless the Database lets Tenants of this namespace in. `namespace` is the Tenant's own. */
export function checkAllowed(tenant: Tenant, database: Database, namespace: KubeObject | undefined): void {
  const { namespaces } = database.spec.allowedTenants
  const from = tenant.metadata.namespace
  if (from === database.metadata.namespace || namespaces.from === 'All') return
  const labels = namespace?.metadata.labels ?? {}
  const wanted = Object.entries(namespaces.selector?.matchLabels ?? {})
  if (namespaces.from === 'Selector' && wanted.every(([key, value]) => labels[key] === value)) return
  const who = `Database ${database.metadata.namespace}/${database.metadata.name}`
  const todo =
    namespaces.from === 'Selector'
      ? `label the namespace ${wanted.map(([key, value]) => `${key}=${value}`).join(',')}`
      : 'set its spec.allowedTenants.namespaces.from to Selector or All'
  throw new AppError(
    'ReferenceNotAllowed',
    `${who} takes no Tenants from namespace ${from}: ${todo}, or use another Database`,
  )
}
