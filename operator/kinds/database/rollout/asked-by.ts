import { FIELD_MANAGER } from '@tenantry/crds/annotations.ts'
import { clip } from '@tenantry/crds/common.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { CONFIG_MAPS, type KubeObject, type ManagedField, type ResourceType } from '../../../kube/types.ts'
import type { World } from '../../../world.ts'
import { configMapNames } from '../source-files.ts'

/**
 * Who last changed the Database or its SQL files, as the Kubernetes API remembers it: the field manager, such as kubectl. Undefined
 * when nobody can tell; a rollout does not wait for that.
 */
export async function askedBy({ client, databases, log }: World, database: Database): Promise<string | undefined> {
  const { namespace, name } = database.metadata
  const managers = async (type: ResourceType, one: string): Promise<readonly ManagedField[]> => {
    const found: KubeObject | undefined = await client.get(type, { namespace, name: one }, { whole: true })
    return found?.metadata.managedFields ?? []
  }
  try {
    const sources = configMapNames(database).map((one) => managers(CONFIG_MAPS, one))
    const all = (await Promise.all([managers(databases.type, name), ...sources])).flat()
    const people = all.filter(({ manager, subresource }) => manager !== FIELD_MANAGER && subresource === undefined)
    const last = people.toSorted((a, b) => (a.time ?? '').localeCompare(b.time ?? '')).at(-1)
    return last?.manager === undefined ? undefined : clip(last.manager, 256)
  } catch (error) {
    log.warn({ err: error, database: `${namespace}/${name}` }, 'could not find out who asked for a rollout')
    return undefined
  }
}
