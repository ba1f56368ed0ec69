import type { Owner, Proof } from '@tenantry/engines/model.ts'
import { commandFaults } from './commands.ts'
import {
  type Access,
  type AclUser,
  channelPatterns,
  claimOf,
  keyPatterns,
  loginName,
  namesOf,
  type RedisSnapshot,
} from './model.ts'

/**
 * What the snapshot proves: the owner's users reach their own keys and channels only, by the allowed commands only, and
 * nobody reaches the server without a password. Administrators' own users are not looked at: they are meant to see all.
 */
export function isolation(owner: Owner, found: RedisSnapshot): Proof {
  const names = [...namesOf(owner, found)].filter((name) => claimOf(owner, name, found) === 'ours')
  const logins = names.flatMap((name) => accesses.map((access) => ({ name, access, login: loginName(name, access) })))
  const users = logins.flatMap((login) => {
    const user = found.users.get(login.login)
    return user ? [{ ...login, user }] : []
  })
  const faults = [...openDoor(found), ...users.flatMap((bound) => faultsOf(bound, found))]
  if (faults.length > 0) return { verdict: 'leaking', evidence: faults.join('; ') }
  const who = users.map((u) => u.login).join(', ') || 'no user'
  return { verdict: 'isolated', evidence: `${who}: own key and channel patterns and the allowed commands only` }
}

function openDoor(found: RedisSnapshot): readonly string[] {
  const user = found.users.get('default')
  if (!user || !reachesKeysWithoutPassword(user)) return []
  return [
    'the user default needs no password, so whoever reaches the server reads everything: set requirepass or switch it off',
  ]
}

/** True for a user anybody can be who may read or write keys. */
export function reachesKeysWithoutPassword(user: AclUser): boolean {
  return user.enabled && user.nopass && user.keys.length + user.selectors.length > 0
}

const accesses = ['ReadWrite', 'ReadOnly'] as const

interface BoundUser {
  readonly name: string
  readonly access: Access
  readonly user: AclUser
}

function faultsOf({ name, access, user }: BoundUser, found: RedisSnapshot): readonly string[] {
  const keys = new Set(keyPatterns(name, access))
  const channels = new Set(channelPatterns(name))
  const { extra: commands } = commandFaults(user.commands, access, found.table)
  return [
    ...(user.nopass ? ['it needs no password'] : []),
    ...user.keys.filter((k) => !keys.has(k)).map((k) => `it reaches keys ${k}`),
    ...user.channels.filter((c) => !channels.has(c)).map((c) => `it reaches channels ${c}`),
    ...(commands.length > 0 ? [`it may run ${commands.slice(0, 12).join(', ')}`] : []),
    ...user.selectors.map((s) => `it has a further rule set ${s}`),
  ].map((fault) => `${user.name}: ${fault}`)
}
