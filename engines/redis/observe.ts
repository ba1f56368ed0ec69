import { decodeMark, type Mark } from '@tenantry/engines/mark.ts'
import type { Scope } from '@tenantry/engines/model.ts'
import { mapInSlices, Slices } from '@tenantry/engines/slices.ts'
import { parseGetUser, parseListLine } from './acl.ts'
import { answer, type Command, type Link, type Reply } from './link.ts'
import { type AclUser, globEscape, keyPrefix, loginsOf, REGISTRY, type RedisSnapshot } from './model.ts'
import { IDENTITY, type ServerTable } from './server-table.ts'

/**
 * How many keys one scoped observation may look at in search of keys under unclaimed prefixes. Redis has no index by prefix:
 * on a database of up to this many keys the search is complete, on a larger one it is a sample.
 */
export const KEYS_LOOKED_AT = 10_000

/** Reads one snapshot in two round trips at most, whatever the number of tenants. */
export async function observe(target: Target, scope: Scope, signal: AbortSignal): Promise<RedisSnapshot> {
  const { link, server } = target
  const doing = `observe ${link.where}`
  const questions = scope === 'all' ? wholeShard() : ofNames(scope)
  const replies = await link.pipeline([...IDENTITY, ...questions.commands], signal)
  server.identify(answer(replies[0], doing), answer(replies[1], doing))
  const { users, keySpaces } = await questions.read(replies.slice(IDENTITY.length), doing)
  const known = server.current()
  const suspects = scope === 'all' ? [] : scope.filter((name) => !keySpaces.has(name))
  const searches = suspects.map((name) => search(name, suspects.length))
  const more = await link.pipeline([...searches, ...(known ? [] : [['COMMAND']])], signal)
  const occupied = new Set(suspects.filter((_, i) => hasKeys(answer(more[i], doing))))
  return { table: known ?? server.learn(answer(more[searches.length], doing)), users, keySpaces, occupied }
}

/** What a session observes with. */
export interface Target {
  readonly link: Link
  readonly server: ServerTable
}

interface Questions {
  readonly commands: readonly Command[]
  readonly read: (replies: readonly Reply[], doing: string) => Promise<Pick<RedisSnapshot, 'users' | 'keySpaces'>>
}

function wholeShard(): Questions {
  return {
    commands: [
      ['ACL', 'LIST'],
      ['HGETALL', REGISTRY],
    ],
    read: async (replies, doing) => {
      const lines = await mapInSlices(answer(replies[0], doing) as string[], parseListLine)
      return {
        users: byName(lines),
        keySpaces: await registry(answer(replies[1], doing) as string[]),
      }
    },
  }
}

function ofNames(names: readonly string[]): Questions {
  const logins = ['default', ...names.flatMap(loginsOf)]
  return {
    // HMGET needs a field; an empty scope asks for one that cannot exist.
    commands: [['HMGET', REGISTRY, ...(names.length > 0 ? names : [''])], ...logins.map((l) => ['ACL', 'GETUSER', l])],
    read: async (replies, doing) => {
      const marks = answer(replies[0], doing) as (string | null)[]
      const users = logins.map((login, i) => parseGetUser(login, answer(replies[i + 1], doing)))
      return { users: byName(users), keySpaces: await registry(names.flatMap((n, i) => [n, marks[i] ?? null])) }
    },
  }
}

function byName(users: readonly (AclUser | undefined)[]): ReadonlyMap<string, AclUser> {
  return new Map(users.filter((u) => u !== undefined).map((u) => [u.name, u]))
}

async function registry(flat: readonly (string | null)[]): Promise<ReadonlyMap<string, Mark | undefined>> {
  const slices = new Slices()
  const entries = new Map<string, Mark | undefined>()
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const text = flat[i + 1] ?? null
    if (text !== null) entries.set(String(flat[i]), decodeMark(text))
    if (slices.isOver) await slices.next()
  }
  return entries
}

function search(name: string, sharing: number): Command {
  const count = Math.max(100, Math.floor(KEYS_LOOKED_AT / sharing))
  return ['SCAN', '0', 'MATCH', `${globEscape(keyPrefix(name))}*`, 'COUNT', String(count)]
}

function hasKeys(scan: unknown): boolean {
  return Array.isArray(scan) && Array.isArray(scan[1]) && scan[1].length > 0
}
