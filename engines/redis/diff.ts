import type { Blocked, Change, FieldDiff, Owner } from '@tenantry/engines/model.ts'
import { commandFaults } from './commands.ts'
import {
  type AclUser,
  channelPatterns,
  claimBy,
  claimOf,
  type KeySpace,
  keyPatterns,
  keyPrefix,
  loginsOf,
  namesOf,
  type RedisResource,
  type RedisSnapshot,
  type User,
} from './model.ts'

type Plan = Change<RedisResource>

/**
 * The changes that turn what is found into what is wanted: key spaces first, then users; drops of users, then of key spaces.
 * In a snapshot of a whole shard only objects of the wanted base names are dropped as surplus, because the same owner may
 * live on the shard through another Database; with nothing wanted, everything of the owner goes.
 */
export function diff(owner: Owner, wanted: readonly RedisResource[], found: RedisSnapshot): readonly Plan[] {
  const sorted = [...wanted].sort((a, b) => (a.id < b.id ? -1 : 1))
  const keySpaces = sorted.filter((r) => r.kind === 'KeySpace').flatMap((r) => diffKeySpace(owner, r, found))
  const users = sorted.filter((r) => r.kind === 'User').flatMap((r) => diffUser(owner, r, found))
  return [...keySpaces, ...users, ...drops(owner, wanted, found)]
}

function diffKeySpace(owner: Owner, target: KeySpace, found: RedisSnapshot): Plan[] {
  const { name } = target.spec
  const what = `key space ${keyPrefix(name)}`
  const mark = found.keySpaces.get(name)
  const claim = claimOf(owner, name, found)
  if (claim === 'other') return [blockedChange(target, what, foreign(what))]
  if (mark) return mark.uid === owner.uid ? [] : [reborn(target, what, [uid(owner, mark)])]
  const lookalike =
    found.keySpaces.has(name) || found.occupied.has(name) || loginsOf(name).some((l) => found.users.has(l))
  if (claim === 'none' && lookalike) return [blockedChange(target, what, unmarked(what))]
  return [{ op: 'create', target, risk: 'safe', fields: [], summary: `create ${what}` }]
}

function diffUser(owner: Owner, target: User, found: RedisSnapshot): Plan[] {
  const { name, login } = target.spec
  const what = `user ${login}`
  const user = found.users.get(login)
  const claim = claimOf(owner, name, found)
  if (claim === 'other' || claimBy(owner, user?.mark) === 'other') return [blockedChange(target, what, foreign(what))]
  if (!user) return [{ op: 'create', target, risk: 'safe', fields: [], summary: `create ${what}` }]
  if (claim === 'none') return [blockedChange(target, what, unmarked(what))]
  const fields = userFields(target, user, found)
  if (user.mark && user.mark.uid !== owner.uid) return [reborn(target, what, [uid(owner, user.mark), ...fields])]
  if (user.mark && fields.length === 0) return []
  const all = user.mark ? fields : [{ field: 'mark', want: 'ours', found: 'none' }, ...fields]
  const disruptive = all.some((f) => f.field === 'state' || f.field === 'password')
  const summary = `alter ${what}: ${all.map((f) => f.field).join(', ')}`
  return [{ op: 'alter', target, risk: disruptive ? 'disruptive' : 'safe', fields: all, summary }]
}

/** What differs between a wanted user and the one found, without its ownership. */
export function userFields(target: User, user: AclUser, found: RedisSnapshot): readonly FieldDiff[] {
  const { name, access, enabled, fingerprint } = target.spec
  const onOff = (on: boolean): string => (on ? 'on' : 'off')
  return [
    field('state', onOff(enabled), onOff(user.enabled)),
    field('password', 'of the Secret', passwordState(user, fingerprint)),
    field('keys', keyPatterns(name, access).join(' '), user.keys.join(' ')),
    field('channels', channelPatterns(name).join(' '), user.channels.join(' ')),
    commandField(target, user, found),
    field('selectors', '', user.selectors.join(' ')),
  ].filter((f) => f !== undefined)
}

function uid(owner: Owner, mark: Owner): FieldDiff {
  return { field: 'uid', want: owner.uid, found: mark.uid }
}

function field(name: string, want: string, found: string): FieldDiff | undefined {
  return want === found ? undefined : { field: name, want, found: found.slice(0, 200) }
}

// In words: neither digests nor the number of hashes say anything to people.
function passwordState(user: AclUser, fingerprint: string): string {
  if (user.nopass) return 'none needed'
  if (user.secrets.length !== 1) return user.secrets.length === 0 ? 'none' : 'several'
  const facts = user.mark?.facts
  return facts?.secret === user.secrets[0] && facts?.credential === fingerprint ? 'of the Secret' : 'another'
}

function commandField(target: User, user: AclUser, found: RedisSnapshot): FieldDiff | undefined {
  const { extra, missing } = commandFaults(user.commands, target.spec.access, found.table)
  const differing = [...extra.map((command) => `+${command}`), ...missing.map((command) => `-${command}`)]
  return field('commands', '', differing.slice(0, 12).join(' '))
}

function drops(owner: Owner, wanted: readonly RedisResource[], found: RedisSnapshot): readonly Plan[] {
  const ids = new Set(wanted.map((r) => r.id))
  const names = new Set(wanted.map((r) => r.spec.name))
  const candidates = [...(names.size > 0 ? names : namesOf(owner, found))].sort()
  const resources = candidates.flatMap((name) => ownedResources(owner, name, found)).filter((r) => !ids.has(r.id))
  const users = resources
    .filter((r) => r.kind === 'User')
    .map((target): Plan => {
      return { op: 'drop', target, risk: 'disruptive', fields: [], summary: `drop user ${target.spec.login}` }
    })
  const keySpaces = resources
    .filter((r) => r.kind === 'KeySpace')
    .map((target): Plan => {
      const summary = `drop key space ${keyPrefix(target.spec.name)} with all its keys`
      return { op: 'drop', target, risk: 'destructive', fields: [], summary }
    })
  return [...users, ...keySpaces]
}

function ownedResources(owner: Owner, name: string, found: RedisSnapshot): readonly RedisResource[] {
  if (claimOf(owner, name, found) !== 'ours') return []
  const users = loginsOf(name).map((login) => found.users.get(login))
  const ours = users.filter((u) => u !== undefined && claimBy(owner, u.mark) !== 'other')
  return [keySpace(name), ...ours.map((u) => leftover(name, u?.name ?? name))]
}

export function keySpace(name: string): KeySpace {
  return { kind: 'KeySpace', id: `keyspace/${name}`, spec: { name }, data: true }
}

// A user that is only to be dropped: what it should have looked like no longer matters.
function leftover(name: string, login: string): User {
  const access = login === name ? 'ReadWrite' : 'ReadOnly'
  return {
    kind: 'User',
    id: `user/${login}`,
    spec: { name, login, access, enabled: false, fingerprint: '' },
    data: false,
  }
}

function blockedChange(target: RedisResource, what: string, blocked: Blocked): Plan {
  return { op: 'adopt', target, risk: 'disruptive', fields: [], summary: `adopt ${what}`, blocked }
}

function reborn(target: RedisResource, what: string, fields: readonly FieldDiff[]): Plan {
  return { op: 'adopt', target, risk: 'safe', fields, summary: `take up ${what} again under a new uid` }
}

function foreign(what: string): Blocked {
  const message = `${what} belongs to another owner or another installation of Tenantry: rename the Tenant or remove it there`
  return { code: 'Conflict', message, adoptable: false }
}

function unmarked(what: string): Blocked {
  const message = `${what} exists and was not made by Tenantry: remove it, or set the adopt annotation to take it over`
  return { code: 'Conflict', message, adoptable: true }
}
