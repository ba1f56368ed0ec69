import { createHash } from 'node:crypto'
import { AppError } from '@tenantry/crds/errors.ts'
import { type Mark, sameOwner } from '@tenantry/engines/mark.ts'
import type { LoginInput, Owner, Resource } from '@tenantry/engines/model.ts'
import type { CommandTable } from './commands.ts'

export type Access = LoginInput['access']

/** The keys `{<name>}:*` of one database 0: claimed by an entry in the registry, dropped by deleting every key. */
export interface KeySpace extends Resource<'KeySpace', { readonly name: string }> {}

/** An ACL user bound to one key space. */
export interface User extends Resource<'User', UserSpec> {}

export interface UserSpec {
  /** The base name: the key space it is bound to. */
  readonly name: string
  readonly login: string
  readonly access: Access
  readonly enabled: boolean
  /** `fingerprint(login, password)` of credential.ts. */
  readonly fingerprint: string
}

export type RedisResource = KeySpace | User

/** An ACL user as the server lists it, our mark taken out of its key patterns and its password hashes digested. */
export interface AclUser {
  readonly name: string
  readonly enabled: boolean
  readonly nopass: boolean
  /** `secretDigest` of each password hash: comparable, of no use to log in with. */
  readonly secrets: readonly string[]
  /** Key patterns with their prefix: `~{t_acme}:*`, `%R~…`. */
  readonly keys: readonly string[]
  /** Channel patterns with their prefix: `&{t_acme}:*`. */
  readonly channels: readonly string[]
  /** Command rules in the server's own words, in order; see `allowedCommands`. */
  readonly commands: string
  /** Further rule sets in parentheses; we never make any. */
  readonly selectors: readonly string[]
  readonly mark?: Mark
}

export interface RedisSnapshot {
  /** Every command of the server with what decides on access. */
  readonly table: CommandTable
  /** By name. Users of the scope, and always `default`. */
  readonly users: ReadonlyMap<string, AclUser>
  /** The registry: base name → who claims the key space; undefined where the entry cannot be read. */
  readonly keySpaces: ReadonlyMap<string, Mark | undefined>
  /** Base names of the scope that nobody claims but under whose prefix keys were seen. Empty in a snapshot of a whole shard. */
  readonly occupied: ReadonlySet<string>
}

/** The hash that says whose each key space is. Outside every tenant's key space, because theirs begin with `{`. */
export const REGISTRY = 'tenantry:registry'

/** What every key of a tenant begins with. The braces make it one hash slot. */
export function keyPrefix(name: string): string {
  return `{${name}}:`
}

export function loginName(name: string, access: Access): string {
  return access === 'ReadWrite' ? name : `${name}_ro`
}

/** Both logins a base name can have. */
export function loginsOf(name: string): readonly string[] {
  return [loginName(name, 'ReadWrite'), loginName(name, 'ReadOnly')]
}

/** Redis' glob characters with a backslash each: braces are no glob characters there. */
export function globEscape(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}

/**
 * Throws `InvalidSpec` for a name that cannot be an ACL user (white space, NUL) or that could reach into another key
 * space (a brace: `{a}:b}:` begins with `{a}:`).
 */
export function checkName(name: string): string {
  if (/^[^\s{}\p{Cc}]{1,200}$/u.test(name)) return name
  throw new AppError(
    'InvalidSpec',
    `name the key space ${JSON.stringify(name.slice(0, 80))}: white space, control characters and braces are not possible in Redis; use another name`,
  )
}

/** The key patterns of a user, as we want them (without the mark). */
export function keyPatterns(name: string, access: Access): readonly string[] {
  return [`${access === 'ReadWrite' ? '~' : '%R~'}${globEscape(keyPrefix(name))}*`]
}

/** The channel patterns of a user, as we want them. */
export function channelPatterns(name: string): readonly string[] {
  return [`&${globEscape(keyPrefix(name))}*`]
}

/** How the server keeps a password: `#<this>` sets it without sending the plain text. */
export function passwordHash(password: string): string {
  return createHash('sha256').update(password).digest('hex')
}

/** A digest of a password hash that can be kept in a mark and compared, and reveals neither. */
export function secretDigest(hash: string): string {
  return createHash('sha256').update(`tenantry/redis\0${hash}`).digest('hex').slice(0, 16)
}

export type Claim = 'ours' | 'other' | 'none'

/**
 * Whose a base name is: the registry says so, and where it was lost (FLUSHALL, eviction, a restart without persistence) the
 * marks that users carry themselves.
 */
export function claimOf(owner: Owner, name: string, found: RedisSnapshot): Claim {
  const carried = loginsOf(name).map((login) => found.users.get(login)?.mark)
  return claimBy(owner, found.keySpaces.get(name) ?? carried.find((mark) => mark?.facts.space === name))
}

const indexes = new WeakMap<RedisSnapshot, ReadonlyMap<string, ReadonlySet<string>>>()

/** The base names on which a snapshot holds a mark of the owner. Indexed once a snapshot: a resync asks for every tenant. */
export function namesOf(owner: Owner, found: RedisSnapshot): ReadonlySet<string> {
  const index = indexes.get(found) ?? indexNames(found)
  indexes.set(found, index)
  return index.get(ownerKey(owner)) ?? new Set()
}

function indexNames(found: RedisSnapshot): ReadonlyMap<string, ReadonlySet<string>> {
  const index = new Map<string, Set<string>>()
  const add = (name: string, mark: Mark | undefined): void => {
    if (!mark) return
    const names = index.get(ownerKey(mark)) ?? new Set()
    index.set(ownerKey(mark), names.add(name))
  }
  for (const [name, mark] of found.keySpaces) add(name, mark)
  // A user's base name is bound into its mark, because a base name may itself end like a read-only login.
  for (const user of found.users.values()) add(user.mark?.facts.space ?? user.name, user.mark)
  return index
}

function ownerKey({ installation, kind, namespace, name }: Owner): string {
  return JSON.stringify([installation, kind, namespace, name])
}

export function claimBy(owner: Owner, mark: Mark | undefined): Claim {
  if (!mark) return 'none'
  return sameOwner(owner, mark) ? 'ours' : 'other'
}
