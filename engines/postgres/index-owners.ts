import type { Mark } from '../mark.ts'
import { type Owned, ownerKey, type PgSnapshot } from './snapshot.ts'

/** Groups the names of everything marked by its owner, so that a diff costs as much as its owner has. Roles of other databases are left out. */
export function indexOwners(found: Omit<PgSnapshot, 'owned'>): ReadonlyMap<string, Owned> {
  const index = new Map<string, Owned>()
  const add = (mark: Mark | undefined, list: keyof Owned, name: string): void => {
    if (!mark) return
    const key = ownerKey(mark)
    const owned = index.get(key) ?? { roles: [], schemas: [], databases: [], bindings: [], tenants: [] }
    owned[list].push(name)
    index.set(key, owned)
  }
  const here = (mark: Mark | undefined): boolean => mark?.facts.database === found.server.database
  for (const { name, mark } of found.roles.values()) if (here(mark)) add(mark, 'roles', name)
  for (const { name, mark } of found.schemas.values()) add(mark, 'schemas', name)
  for (const { name, mark } of found.databases.values()) if (here(mark)) add(mark, 'databases', name)
  for (const { login, mark } of found.bindings.values()) add(mark, 'bindings', login)
  for (const { name, mark } of found.tenants.values()) add(mark, 'tenants', name)
  return index
}
