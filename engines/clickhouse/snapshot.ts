import { decodeMark, type Mark } from '../mark.ts'
import type { Owner } from '../model.ts'
import type { Grant } from './resources.ts'

export interface FoundDatabase {
  readonly name: string
  readonly comment: string
  /** A database that was dropped and made again by hand has another one. */
  readonly uuid: string
}

export interface FoundTable {
  readonly database: string
  readonly name: string
  readonly engine: string
  readonly comment: string
  readonly sortingKey: string
}

/** A row of the registry: `id` is the resource's id. */
export interface FoundEntry {
  readonly id: string
  readonly base: string
  readonly mark: Mark | undefined
  readonly rawMark: string
  readonly detail: string
}

/** The last outcome of a file in one incarnation (uuid) of a database. */
export interface FoundFile {
  readonly database: string
  readonly uuid: string
  readonly version: string
  readonly checksum: string
  /** Tables that the file made, and those that it removed. */
  readonly made: readonly string[]
  readonly dropped: readonly string[]
}

export interface FoundUser {
  readonly name: string
  readonly hosts: 'any' | 'none' | 'other'
  readonly allRolesDefault: boolean
  readonly settings: readonly string[]
}

export interface FoundPolicy {
  readonly name: string
  readonly database: string
  readonly table: string
  readonly filter: string
  readonly restrictive: boolean
  readonly everybody: boolean
  readonly to: readonly string[]
}

export interface FoundProfile {
  readonly name: string
  readonly settings: readonly string[]
  readonly to: readonly string[]
}

export interface FoundQuota {
  readonly name: string
  readonly keys: readonly string[]
  /** `<seconds>: <limit>=<value>`, one for each limit. */
  readonly limits: readonly string[]
  readonly to: readonly string[]
}

export interface FoundGrant extends Grant {
  readonly grantee: string
  /** Granted on columns only, or with the right to pass it on: never what we want. */
  readonly irregular: boolean
}

export interface FoundMembership {
  readonly grantee: string
  readonly granteeIsRole: boolean
  readonly role: string
}

/** Everything about users; all empty where the server keeps none. */
export interface FoundAccess {
  readonly users: ReadonlyMap<string, FoundUser>
  readonly roles: ReadonlySet<string>
  readonly profiles: ReadonlyMap<string, FoundProfile>
  readonly quotas: ReadonlyMap<string, FoundQuota>
  /** By the policy's own name. */
  readonly policies: ReadonlyMap<string, readonly FoundPolicy[]>
  readonly grantsTo: ReadonlyMap<string, readonly FoundGrant[]>
  readonly grantsOn: ReadonlyMap<string, readonly FoundGrant[]>
  readonly rolesOf: ReadonlyMap<string, readonly FoundMembership[]>
  readonly membersOf: ReadonlyMap<string, readonly FoundMembership[]>
}

/** What a shard holds that is ours or in our way. */
export interface ChSnapshot {
  /** The user we are logged in as: always exempt from the guard. */
  readonly admin: string
  /** Undefined where users and policies can be kept; else a sentence that says why not. */
  readonly noAccessControl: string | undefined
  readonly databases: ReadonlyMap<string, FoundDatabase>
  readonly tables: ReadonlyMap<string, readonly FoundTable[]>
  readonly registry: ReadonlyMap<string, FoundEntry>
  readonly ledger: ReadonlyMap<string, readonly FoundFile[]>
  readonly access: FoundAccess
  /** By `ownerKey`: databases by their comment, the rest by the registry. */
  readonly owned: ReadonlyMap<string, Owned>
}

export interface Owned {
  readonly databases: readonly FoundDatabase[]
  readonly entries: readonly FoundEntry[]
}

export function ownerKey({ installation, kind, namespace, name }: Owner): string {
  return JSON.stringify([installation, kind, namespace, name])
}

export function indexOwned(
  databases: Iterable<FoundDatabase>,
  entries: Iterable<FoundEntry>,
): ReadonlyMap<string, Owned> {
  const owned = new Map<string, { databases: FoundDatabase[]; entries: FoundEntry[] }>()
  const of = (owner: Owner): { databases: FoundDatabase[]; entries: FoundEntry[] } => {
    const key = ownerKey(owner)
    const list = owned.get(key) ?? { databases: [], entries: [] }
    owned.set(key, list)
    return list
  }
  for (const database of databases) {
    const mark = decodeMark(database.comment)
    if (mark) of(mark).databases.push(database)
  }
  for (const entry of entries) if (entry.mark) of(entry.mark).entries.push(entry)
  return owned
}

export function groupBy<T>(items: readonly T[], key: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(items, key)
}

/** A table comment with this text says: the same for all tenants, not split by `tenant_id`. */
export const REFERENCE = 'tenantry:reference'

export type TableClass = 'tenant' | 'reference' | 'unsplit' | 'other'

/**
 * How a table of a shared database relates to tenants. `unsplit` stores rows that no policy can tell apart. `other` are
 * views, queues and the like: they are never granted to tenants.
 */
export function classify({ engine, comment, sortingKey }: FoundTable): TableClass {
  if (comment.includes(REFERENCE)) return 'reference'
  if (!engine.endsWith('MergeTree')) return 'other'
  const [first] = sortingKey.split(',')
  return first?.trim() === 'tenant_id' ? 'tenant' : 'unsplit'
}
