import type { Access } from './model.ts'

/** What decides on access to one command or subcommand (`client|id`). */
export interface CommandInfo {
  readonly name: string
  readonly categories: readonly string[]
  /** False for what takes no key, and so is not held back by key patterns. */
  readonly keyed: boolean
}

/** Every command and subcommand of a server by lower-case name. One object per server process, shared by snapshots. */
export type CommandTable = ReadonlyMap<string, CommandInfo>

/** Reads the reply of `COMMAND` (Redis 7): name, arity, flags, first key, …, categories, tips, key specs, subcommands. */
export function parseCommands(reply: unknown): CommandTable {
  const table = new Map<string, CommandInfo>()
  const add = (entry: unknown): void => {
    if (!Array.isArray(entry)) return
    const [name, , flags, firstKey, , , categories, , keySpecs, subcommands] = entry as unknown[]
    const info: CommandInfo = {
      name: String(name).toLowerCase(),
      categories: list(categories).map((c) => String(c).replace(/^@/, '')),
      keyed: Number(firstKey) > 0 || list(keySpecs).length > 0 || list(flags).includes('movablekeys'),
    }
    table.set(info.name, info)
    for (const sub of list(subcommands)) add(sub)
  }
  for (const entry of list(reply)) add(entry)
  return table
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

/**
 * The commands a rule list allows on a server with this table. Servers print rules in words of their own that differ by
 * version and even by process, so that only the outcome can be compared. Rules on a first argument (`+select|0`) come out
 * as `select|0`.
 */
export function allowedCommands(rules: string, table: CommandTable): ReadonlySet<string> {
  return remembered(memoOf(table).allowed, rules, () => {
    const allowed = new Set<string>()
    for (const rule of rules.toLowerCase().split(/\s+/)) applyRule(rule, allowed, table)
    return allowed
  })
}

/** What a rule list allows beyond or short of what an access should allow, sorted. */
export interface CommandFaults {
  readonly extra: readonly string[]
  readonly missing: readonly string[]
}

/** Compares a rule list with that of an access. */
export function commandFaults(rules: string, access: Access, table: CommandTable): CommandFaults {
  return remembered(memoOf(table).faults, `${access} ${rules}`, () => {
    const want = allowedCommands(accessRules(access, table).join(' '), table)
    const has = allowedCommands(rules, table)
    return {
      extra: [...has].filter((command) => !want.has(command)).sort(),
      missing: [...want].filter((command) => !has.has(command)).sort(),
    }
  })
}

// Ten thousand users have two different rule lists between them: without this a resync would spend its time here.
interface Memo {
  readonly allowed: Map<string, ReadonlySet<string>>
  readonly faults: Map<string, CommandFaults>
  readonly rules: Map<Access, readonly string[]>
}

const MOST_REMEMBERED = 1000

const memos = new WeakMap<CommandTable, Memo>()

function memoOf(table: CommandTable): Memo {
  const memo = memos.get(table) ?? { allowed: new Map(), faults: new Map(), rules: new Map() }
  memos.set(table, memo)
  return memo
}

/** Rule lists made by hand may all differ: then nothing is remembered for long. */
function remembered<K, V>(memo: Map<K, V>, key: K, work: () => V): V {
  const known = memo.get(key)
  if (known !== undefined) return known
  const value = work()
  if (memo.size >= MOST_REMEMBERED) memo.clear()
  memo.set(key, value)
  return value
}

function applyRule(text: string, allowed: Set<string>, table: CommandTable): void {
  const rule = ALIASES[text] ?? text
  if (!/^[+-]./.test(rule)) return
  for (const command of subjectOf(rule.slice(1), allowed, table)) {
    if (rule.startsWith('+')) allowed.add(command)
    else allowed.delete(command)
  }
}

/** The commands one rule speaks of: those of a category, or a command with its subcommands and first-argument rules. */
function subjectOf(subject: string, allowed: ReadonlySet<string>, table: CommandTable): readonly string[] {
  if (subject === '@all') return [...table.keys(), ...allowed]
  if (!subject.startsWith('@')) {
    return [subject, ...[...table.keys(), ...allowed].filter((c) => c.startsWith(`${subject}|`))]
  }
  const category = subject.slice(1)
  return [...table.values()].filter((c) => c.categories.includes(category)).map((c) => c.name)
}

const ALIASES: Readonly<Record<string, string>> = { allcommands: '+@all', nocommands: '-@all' }

// Named one by one and not by category: `@connection` holds CLIENT TRACKING, whose BCAST mode tells every tenant's key
// names to whoever asks, and new versions add commands to categories.
const SESSION = [
  'auth hello reset ping echo quit time acl|whoami client|id client|info client|setname client|getname client|setinfo client|reply',
  'command command|count command|docs command|info command|list command|getkeys command|getkeysandflags',
  'asking readonly readwrite multi exec discard watch unwatch',
  'subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe fcall_ro',
]
  .join(' ')
  .split(' ')
const WRITERS = ['publish', 'spublish', 'fcall']

/** What both accesses never get although a category would give it; the reason stands beside each. */
const REFUSED = [
  '-@dangerous', // KEYS, FLUSHALL, INFO, SORT with its BY and GET patterns, …
  '-@admin',
  '-@scripting', // EVAL takes the server's only thread for as long as it likes; functions are loaded by us
  '-copy', // with DB it hides keys in another database, where deleting a tenant would not find them
  '-move',
]

/** The rules as far as they do not depend on the server; `accessRules` completes them. */
export function baseRules(access: Access): readonly string[] {
  const data = access === 'ReadWrite' ? ['+@read', '+@write'] : ['+@read']
  const session = access === 'ReadWrite' ? [...SESSION, ...WRITERS] : SESSION
  return ['-@all', ...data, ...REFUSED, ...session.map((c) => `+${c}`)]
}

/**
 * The complete ordered rule list for a server. Key patterns guard only commands that name keys, so every reading or writing
 * command that names none (SCAN, RANDOMKEY, DBSIZE, a module's search over an index) is taken away, whatever the server's
 * version and modules bring.
 */
export function accessRules(access: Access, table: CommandTable): readonly string[] {
  return remembered(memoOf(table).rules, access, () => completeRules(access, table))
}

function completeRules(access: Access, table: CommandTable): readonly string[] {
  const rules = baseRules(access).filter((r) => r.includes('@') || table.has(r.slice(1)))
  const explicit = new Set(rules.filter((r) => r.startsWith('+') && !r.includes('@')).map((r) => r.slice(1)))
  const keyless = [...allowedCommands(rules.join(' '), table)]
    .filter((c) => !table.get(c)?.keyed && !explicit.has(c) && !isContainerOf(c, explicit))
    .sort()
  return [...rules, ...keyless.map((c) => `-${c}`)]
}

// Taking a container away takes its subcommands along; `command` itself is explicit, `client` never allowed as such.
function isContainerOf(name: string, explicit: ReadonlySet<string>): boolean {
  return [...explicit].some((c) => c.startsWith(`${name}|`))
}
