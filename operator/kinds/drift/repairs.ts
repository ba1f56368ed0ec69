import type { Database } from '@tenantry/crds/database.ts'
import type { Change, Resource } from '@tenantry/engines/model.ts'
import type { Target } from '../../reconcile/model.ts'
import type { World } from '../../world.ts'

/**
 * The target with what the last look wants to make again, where the policy is Repair. Each repair is tried once, after all else is
 * as wanted; then the schema is looked at anew, which tells what became of it.
 */
export function withRepairs(
  world: World,
  target: Target,
  { database, schema }: { database: Database; schema: string },
): Target {
  const { id } = target.shard
  if (database.spec.schema?.drift !== 'Repair') return target
  return {
    ...target,
    more: () => (world.drift.get(id, schema)?.repairs ?? []).map(creation),
    tried: (changes) => {
      const record = world.drift.get(id, schema)
      if (!record) return
      const ids = new Set(changes.map((change) => change.target.id))
      const repairs = record.repairs.filter((repair) => !ids.has(repair.id))
      if (repairs.length === record.repairs.length) return
      world.drift.set({ ...record, repairs })
      world.lookForDrift(`${id}/${schema}`)
    },
  }
}

/** A table with rows that is locked meanwhile keeps its tenant waiting. */
function creation(target: Resource): Change {
  const { title, locks } = target.spec as { readonly title: string; readonly locks: boolean }
  return { op: 'create', target, risk: locks ? 'disruptive' : 'safe', fields: [], summary: `create missing ${title}` }
}
