import type { Database } from '@tenantry/crds/database.ts'
import type { World } from '../../../world.ts'
import { isReached } from './reach.ts'
import { standingOf } from './unit.ts'
import { tenantUnit } from './units.ts'

/** Keys of the Tenants that a rollout has come to by the step that was just written, and that have not got the files yet. */
export function newlyReached(world: World, database: Database, previous: Database | undefined): readonly string[] {
  const [now, before] = [database.status?.rollout, previous?.status?.rollout]
  if (!now || database.spec.isolation === 'Row' || isSame(now, before)) return []
  const canary = database.spec.schema?.rollout?.canary
  const { namespace, name } = database.metadata
  return world.tenants.store.byIndex('database', `${namespace}/${name}`).flatMap((tenant) => {
    const unit = tenantUnit(tenant, database)
    if (standingOf(unit, now.digest) === 'atTarget' || !isReached(now, canary, unit)) return []
    const was = before?.run === now.run && isReached(before ?? {}, canary, unit)
    return was ? [] : [unit.key]
  })
}

type Rollout = NonNullable<NonNullable<Database['status']>['rollout']>

function isSame(now: Rollout, before: Rollout | undefined): boolean {
  return now.run === before?.run && now.state === before?.state && now.cut === before?.cut
}
