import { databaseName, type NamespacedName, objectName, tenantId } from '@tenantry/engines/names.ts'
import { gateName } from '@tenantry/engines/postgres/names.ts'

/** Turns what differs from run to run (namespaces, hashes in names, uids, times, ports) into what does not. */
export interface Names {
  /** Part of every name that this run makes. */
  readonly run: string
  /** The namespace of a lifecycle in this run. */
  namespace(lifecycle: string): string
  /** Every namespace that was asked for. */
  namespaces(): readonly string[]
  tenant(tenant: NamespacedName): void
  database(database: NamespacedName): void
  /** A database of the Postgres server that serves as a shard. */
  server(database: string): void
  /** What a uid belongs to; others are all alike. */
  uid(uid: string, meaning: string): void
  canonical(text: string): string
  /** Base names of everything that was announced. */
  bases(): readonly string[]
}

const BASE = /(?:[td]_[a-z0-9_]+?|tenantry_gate)_[0-9a-f]{8}(?![0-9a-f])/g
const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g
const MASKS: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00)?/g, '<time>'],
  [/127\.0\.0\.1:\d+/g, '<server>'],
  [/tenantry_probe_[0-9a-f]+/g, '<probe>'],
  [/(tenantry-c[0-9a-f]{6}z)-[0-9a-f]{8}(?![0-9a-f])/g, '$1'],
  [/(?<![0-9a-zA-Z<])[0-9a-f]{16,64}(?![0-9a-zA-Z])/g, '<hex>'],
]

export function createNames(run: string): Names {
  const known = new Map<string, string>()
  const gates = new Map<string, string>()
  const uids = new Map<string, string>()
  const namespaces = new Set<string>()
  const tenants: NamespacedName[] = []
  const databases: NamespacedName[] = []
  const plain = ({ namespace, name }: NamespacedName): string => `${namespace.replace(`${run}-`, '')}.${name}`
  const gate = (database: string, meaning: string): void => void gates.set(gateName(database), `<gate of ${meaning}>`)
  const pair = (tenant: NamespacedName, database: NamespacedName): void => {
    const meaning = `<${plain(tenant)} on ${plain(database)}>`
    known.set(objectName(tenant, database), meaning)
    gate(objectName(tenant, database), meaning)
  }
  return {
    run,
    namespace: (lifecycle) => {
      namespaces.add(`${run}-${lifecycle}`)
      return `${run}-${lifecycle}`
    },
    namespaces: () => [...namespaces],
    tenant: (tenant) => {
      tenants.push(tenant)
      known.set(tenantId(tenant), `<id ${plain(tenant)}>`)
      for (const database of databases) pair(tenant, database)
    },
    database: (database) => {
      databases.push(database)
      known.set(databaseName(database), `<${plain(database)}>`)
      for (const tenant of tenants) pair(tenant, database)
    },
    server: (database) => gate(database, database.replace(`${run}_`, '')),
    uid: (uid, meaning) => void uids.set(uid, `<uid of ${meaning.replace(`${run}-`, '')}>`),
    canonical: (text) => {
      const owned = text.replaceAll(UID, (uid) => uids.get(uid) ?? '<uid>')
      const named = owned.replaceAll(BASE, (name) => known.get(name) ?? gates.get(name) ?? name)
      const masked = MASKS.reduce((result, [pattern, mask]) => result.replaceAll(pattern, mask), named)
      return masked.replaceAll(run, 'RUN')
    },
    bases: () => [...known.keys()],
  }
}
