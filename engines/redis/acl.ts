import { decodeMark, encodeMark, type Mark } from '@tenantry/engines/mark.ts'
import type { Owner } from '@tenantry/engines/model.ts'
import { accessRules, type CommandTable } from './commands.ts'
import { type AclUser, channelPatterns, keyPatterns, passwordHash, secretDigest, type UserSpec } from './model.ts'

/**
 * ACL users have no comments, and a registry beside them is lost by FLUSHALL, eviction or a restart without persistence
 * while the users stay. So a user carries its mark itself, as the right to read one key that is never written.
 */
const MARK_PATTERN = '%R~tenantry:mark:'

/** The key pattern that holds a mark: base64url has no glob characters and no spaces. */
export function markPattern(owner: Owner, facts: Readonly<Record<string, string>>): string {
  return MARK_PATTERN + Buffer.from(encodeMark(owner, facts)).toString('base64url')
}

function readMark(pattern: string): Mark | undefined {
  if (!pattern.startsWith(MARK_PATTERN)) return undefined
  return decodeMark(Buffer.from(pattern.slice(MARK_PATTERN.length), 'base64url').toString())
}

/** The arguments after `ACL SETUSER <login>` for a user we want: replaces whatever the user was before, in one step. */
export function setUserArgs(owner: Owner, spec: UserSpec, password: string, table: CommandTable): readonly string[] {
  const hash = passwordHash(password)
  return [
    'reset',
    spec.enabled ? 'on' : 'off',
    `#${hash}`,
    ...keyPatterns(spec.name, spec.access),
    markPattern(owner, { space: spec.name, credential: spec.fingerprint, secret: secretDigest(hash) }),
    ...channelPatterns(spec.name),
    ...accessRules(spec.access, table),
  ]
}

/** The arguments after `ACL SETUSER <login>` that leave a user its mark and nothing else. */
export function disarmArgs(owner: Owner, name: string): readonly string[] {
  return ['reset', 'off', markPattern(owner, { space: name })]
}

interface Parts {
  readonly name: string
  readonly flags: readonly string[]
  readonly hashes: readonly string[]
  readonly patterns: readonly string[]
  readonly commands: readonly string[]
  readonly selectors: readonly string[]
}

/** Reads one line of `ACL LIST`; undefined for what is not a user's line. */
export function parseListLine(line: string): AclUser | undefined {
  const [head = '', ...selectorTexts] = line.split(' (')
  const [user, name, ...tokens] = head.split(' ')
  if (user !== 'user' || name === undefined) return undefined
  const is = (pattern: RegExp): string[] => tokens.filter((t) => pattern.test(t))
  return toUser({
    name,
    flags: is(/^[a-z]/),
    hashes: is(/^#/).map((t) => t.slice(1)),
    patterns: is(/^[~%&]/),
    commands: is(/^[+-]/),
    selectors: selectorTexts.map((s) => `(${s}`),
  })
}

/** Reads the reply of `ACL GETUSER name`; undefined where the server knows no such user. */
export function parseGetUser(name: string, reply: unknown): AclUser | undefined {
  if (!Array.isArray(reply)) return undefined
  const fields = new Map<string, unknown>()
  for (let i = 0; i + 1 < reply.length; i += 2) fields.set(String(reply[i]), reply[i + 1])
  const words = (field: string): string[] => {
    const value = fields.get(field)
    return (Array.isArray(value) ? value.map(String) : String(value ?? '').split(' ')).filter(Boolean)
  }
  const selectors = fields.get('selectors')
  return toUser({
    name,
    flags: words('flags'),
    hashes: words('passwords'),
    patterns: [...words('keys'), ...words('channels')],
    commands: words('commands'),
    selectors: Array.isArray(selectors) ? selectors.map((s) => `(${[s].flat(3).join(' ')})`) : [],
  })
}

function toUser({ name, flags, hashes, patterns, commands, selectors }: Parts): AclUser {
  const marks = patterns.filter((p) => p.startsWith(MARK_PATTERN))
  const mark = marks.length === 1 ? readMark(marks[0] ?? '') : undefined
  return {
    name,
    enabled: flags.includes('on'),
    nopass: flags.includes('nopass'),
    secrets: hashes.map(secretDigest),
    keys: patterns.filter((p) => !p.startsWith('&') && !(mark && p === marks[0])),
    channels: patterns.filter((p) => p.startsWith('&')),
    commands: commands.join(' '),
    selectors,
    ...(mark && { mark }),
  }
}
