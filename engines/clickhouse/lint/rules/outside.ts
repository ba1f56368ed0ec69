import { groupsOf, isSign, isWord, type Part, type Statement } from '../reading.ts'
import { type Hit, named } from '../rule.ts'

/** Databases of the server and of Tenantry. */
export const SYSTEM_DATABASES: ReadonlySet<string> = new Set(['system', 'information_schema', 'tenantry'])

const OWN =
  /^(?:(?:Replicated|Shared)?(?:Replacing|Coalescing|Summing|Aggregating|Collapsing|VersionedCollapsing|Graphite)?MergeTree|Null|Memory|Log|TinyLog|StripeLog|Set|Join|GenerateRandom)$/
/** Engines that name a database, and which argument does. */
const NAMING: Readonly<Record<string, number>> = { Buffer: 0, Merge: 0, Distributed: 1 }

/** The name of a function that is called there, in lower case. */
export function functionName(parts: readonly Part[], i: number): string | undefined {
  const part = parts[i]
  if (part?.kind !== 'word' && part?.kind !== 'name') return undefined
  return isSign(parts[i + 1], '(') ? part.text.toLowerCase() : undefined
}

/** Engines of tables and views that keep data elsewhere than in the database itself. */
export function engines({ parts }: Statement): readonly Hit[] {
  return parts.flatMap((part, i): readonly Hit[] => {
    if (!isWord(part, 'ENGINE') || part.depth > 0 || !isWord(parts[0], 'CREATE')) return []
    const at = isSign(parts[i + 1], '=') ? i + 2 : i + 1
    const engine = parts[at]
    if (!engine || isAllowed(engine.text, argumentsAt(parts, at + 1))) return []
    return [{ message: `the engine ${named([engine])} keeps its data elsewhere`, part: engine }]
  })
}

function isAllowed(engine: string, given: readonly (readonly Part[])[]): boolean {
  const naming = NAMING[engine]
  if (naming !== undefined) return isOwnDatabase(given[naming] ?? [])
  if (!OWN.test(engine)) return false
  const [path] = given[0] ?? []
  // Two tables with one path are one table.
  return !engine.startsWith('Replicated') || path?.kind !== 'string' || path.text.includes('{uuid}')
}

function isOwnDatabase(argument: readonly Part[]): boolean {
  const [first] = argument
  if (first?.kind === 'parameter') return argument.length === 1
  if (first?.kind === 'string') return argument.length === 1 && first.text === ''
  return functionName(argument, 0) === 'currentdatabase' && argument.length === 3
}

/** What stands between the brackets that open there, cut at its commas. */
function argumentsAt(parts: readonly Part[], at: number): readonly (readonly Part[])[] {
  const open = parts[at]
  if (!open || !isSign(open, '(')) return []
  const length = parts.slice(at + 1).findIndex(({ depth }) => depth <= open.depth)
  const within = parts.slice(at + 1, length < 0 ? undefined : at + 1 + length)
  const isComma = (i: number): boolean => within[i]?.depth === open.depth + 1 && isSign(within[i], ',')
  return groupsOf(within, isComma).map((group, n) => (n === 0 ? group : group.slice(1)))
}

/** Sources of dictionaries other than a table of the same database. */
export function sourcesOf({ parts }: Statement): readonly Hit[] {
  return parts.flatMap((part, i): readonly Hit[] => {
    if (!isWord(part, 'SOURCE') || part.depth > 0 || !isSign(parts[i + 1], '(')) return []
    const source = parts[i + 2]
    if (!source || isOwnSource(source, argumentsAt(parts, i + 3)[0] ?? [])) return []
    return [{ message: `the dictionary has the source ${named([source])}`, part: source }]
  })
}

function isOwnSource(source: Part, [key, table, ...more]: readonly Part[]): boolean {
  if (isWord(source, 'NULL')) return key === undefined
  return isWord(source, 'CLICKHOUSE') && isWord(key, 'TABLE') && isPlain(table) && more.length === 0
}

function isPlain(part: Part | undefined): boolean {
  return part?.kind === 'string' || part?.kind === 'name' || part?.kind === 'word'
}
