import { ANNOTATIONS, readPlacement, writePlacement } from '@tenantry/crds/annotations.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { claim } from '../../reconcile/object.ts'
import type { World } from '../../world.ts'
import { formatPlace } from '../placements.ts'
import { removeSecrets } from './secrets.ts'
import type { BindingReport } from './status.ts'

/**
 * Nothing of the entry is left on its shard but what is kept on purpose. Where the Database itself is gone there is no way
 * to reach the shard any more: what `Retain` keeps may stay there, what `Delete` promised to drop may not.
 */
export function isCleared({ spec }: Tenant, { outcome, problem, place }: BindingReport): boolean {
  if (!place) return true
  if (problem?.code === 'DatabaseNotFound') return spec.deletionPolicy === 'Retain'
  return outcome !== undefined && problem === undefined && outcome.held.length === 0 && outcome.remaining.length === 0
}

/** A removed entry that is cleared leaves the stored placement, and its Secrets go. */
export async function forget(world: World, tenant: Tenant, cleared: readonly BindingReport[]): Promise<void> {
  if (cleared.length === 0) return
  const gone = new Set(cleared.map(({ name }) => name))
  const secrets = (tenant.status?.databases ?? []).flatMap(({ name, secretName }) =>
    gone.has(name) && secretName ? [secretName, `${secretName}-ro`] : [],
  )
  await removeSecrets(world, tenant, secrets)
  const left = Object.entries(readPlacement(tenant.metadata.annotations) ?? {}).filter(([name]) => !gone.has(name))
  await claim(world, world.tenants, tenant, { [ANNOTATIONS.placement]: writePlacement(Object.fromEntries(left)) })
  const key = `${tenant.metadata.namespace}/${tenant.metadata.name}`
  for (const { place } of cleared) if (place) world.placements.remove(key, place.database)
}

/** Names for good what is left behind, because a person or a missing Database let the deletion finish without it. */
export function reportOrphans(world: World, tenant: Tenant, left: readonly BindingReport[]): void {
  for (const { name, place, problem } of left) {
    if (!place) continue
    world.recorder.event(tenant, {
      type: 'Warning',
      reason: 'Orphaned',
      action: 'Delete',
      note: `what ${name} has on ${formatPlace(place)} is left behind: ${problem?.message ?? 'its changes were held'}`,
    })
  }
}
