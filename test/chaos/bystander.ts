/** A tenant of another installation on the same servers: no fault of a plan may change anything of it. */

import { cleanUp } from './clean-up.ts'
import { type Digest, digest } from './digest/digest.ts'
import type { Lab } from './lab.ts'
import type { Stage } from './lifecycles/life.ts'
import { PLATFORM } from './lifecycles/platform.ts'
import { customerWrites, EVERYWHERE, ready, tenant } from './lifecycles/steps.ts'
import { startOperatorProcess } from './operator.ts'
import { openStage, tell } from './run.ts'
import { openSlot } from './slot.ts'

export interface Bystander {
  /** What is not as it was, in words. */
  changes(): Promise<readonly string[]>
  remove(): Promise<void>
}

/** Makes the tenant with an operator that then ends, so that nobody has a reason to touch it. */
export async function placeBystander(lab: Lab, dir: string): Promise<Bystander> {
  const slot = await openSlot(lab, dir)
  const stopped = new AbortController()
  const stage = openStage(slot, stopped.signal)
  const installation = stage.names.run
  const { kubeconfig } = slot.api
  const operator = startOperatorProcess({ dir, kubeconfig, installation, patches: [], replicas: 1 })
  try {
    const steps = [
      tenant('bystander', EVERYWHERE),
      ready('bystander'),
      customerWrites('bystander', 'oltp', 'cache', 'analytics'),
    ]
    const stuck = (await tell(stage, PLATFORM)) ?? (await tell(stage, { name: 'bystander', steps }))
    if (stuck) throw new Error(`make a bystander: ${stuck}`)
  } finally {
    await operator.stop()
  }
  const before = await touchable(stage)
  return {
    changes: async () => changed(before, await touchable(stage)),
    remove: async () => {
      stopped.abort()
      await cleanUp(stage)
      await slot.close()
    },
  }
}

/** Everything of it, and versions that move with every write, even with one that changes nothing. */
async function touchable(stage: Stage): Promise<Digest> {
  const { lab, names } = stage
  const { rows: roles } = await lab.postgres.query<{ name: string; version: string }>(
    `SELECT rolname::text AS name, oid || ' ' || xmin AS version FROM pg_authid
     WHERE substring(rolname from '^([td]_[a-z0-9_]+?_[0-9a-f]{8})') = ANY($1)`,
    [names.bases()],
  )
  const objects = [...stage.tenants.store.list(), ...stage.databases.store.list()]
  return {
    ...(await digest(stage)),
    ...Object.fromEntries(roles.map(({ name, version }) => [`version of role ${name}`, version])),
    ...Object.fromEntries(
      objects.map(({ kind, metadata }) => [`version of ${kind} ${metadata.name}`, metadata.resourceVersion]),
    ),
  }
}

function changed(before: Digest, now: Digest): readonly string[] {
  const paths = new Set([...Object.keys(before), ...Object.keys(now)])
  return [...paths]
    .filter((path) => before[path] !== now[path])
    .map((path) => `touched what belongs to another: ${path} was ${before[path]}, is ${now[path]}`)
}
