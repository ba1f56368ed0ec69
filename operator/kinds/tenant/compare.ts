import { ANNOTATIONS, FINALIZER, readPlacement } from '@tenantry/crds/annotations.ts'
import { GROUP } from '@tenantry/crds/common.ts'
import { findCondition } from '@tenantry/crds/conditions.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { isSettled, ownerOf } from '../../reconcile/object.ts'
import { asWanted } from '../../reconcile/pipeline.ts'
import type { Known, Shard } from '../../shards/shard.ts'
import type { World } from '../../world.ts'
import { filesForTenant } from '../database/rollout/files-for.ts'
import type { SchemaFile } from '../database/rollout/plan.ts'
import { formatPlace } from '../placements.ts'
import { type Binding, bindingOn } from './bindings.ts'
import { tenantTarget } from './desired.ts'
import { assertShardReady, reportOf } from './entries.ts'
import { storedCredentials } from './secrets.ts'
import { isRecorded } from './status.ts'
import { assess } from './verify.ts'

/** What a resync knows of one shard. */
export interface ShardView {
  readonly database: Database
  readonly shard: Shard
  readonly files: readonly SchemaFile[]
  readonly known: Known
}

/** Annotations of ours that ask for nothing. */
const SILENT: readonly string[] = [ANNOTATIONS.placement, ANNOTATIONS.traceparent]

/** Settled, and neither told to wait nor waiting for somebody: such a Tenant needs a reconcile only when something differs. */
export function isQuiet(tenant: Tenant): boolean {
  const { annotations = {} } = tenant.metadata
  const asked = Object.keys(annotations).some((name) => name.startsWith(`${GROUP}/`) && !SILENT.includes(name))
  return isSettled(tenant) && !asked && !findCondition(tenant.status?.conditions, 'Held')
}

/** What a deletion goes by must be there before it is needed. */
function isStored({ metadata: { finalizers = [], annotations } }: Tenant, { name, place }: Binding): boolean {
  return finalizers.includes(FINALIZER) && readPlacement(annotations)?.[name] === formatPlace(place)
}

/**
 * Whether a Tenant still has on one shard what its status says, judged by the shard's snapshot and by what is in memory: without
 * a request or a write. False asks for a reconcile, which finds out what is wrong and says so.
 */
export function isAsRecorded(world: World, tenant: Tenant, { database, shard, files, known }: ShardView): boolean {
  if (!isQuiet(tenant)) return false
  try {
    const binding = bindingOn(world, tenant, database, shard)
    const credentials = binding && storedCredentials(world, tenant, binding)
    if (!binding || !credentials || !isStored(tenant, binding)) return false
    assertShardReady(binding)
    const wanted = filesForTenant(world, tenant, database, files)
    const target = tenantTarget(tenant, binding, credentials, wanted)
    const found = known(target.scope)
    // It was written to since: whoever did that has looked at it as well.
    if (found === undefined) return true
    const owner = ownerOf(world, 'Tenant', tenant)
    const outcome = asWanted(owner, target, found)
    const assessment = outcome && assess(owner, tenant, binding, { outcome, credentials })
    if (!assessment || assessment.due.length > 0) return false
    return isRecorded(tenant, reportOf({ binding, credentials, wanted, outcome, verdict: assessment.verdict }))
  } catch {
    // Whatever keeps it from being compared is put into words by the reconcile.
    return false
  }
}
