import { groupsOf, isSign, isWord, PATH, type Part, type Statement, statementOf } from './reading.ts'

const VERBS = (
  'ADD ALTER APPLY ATTACH CLEAR COMMENT DELETE DETACH DROP EXPORT FETCH FORGET FREEZE MATERIALIZE MODIFY MOVE REMOVE RENAME ' +
  'REPLACE RESET REWRITE UNFREEZE UNLOCK UPDATE'
).split(' ')

/** What follows any verb, also one that is not known. */
const THINGS = 'COLUMN INDEX PROJECTION CONSTRAINT PARTITION PART SETTING STATISTICS'.split(' ')

const HEAD = new RegExp(`^ALTER TABLE (?:IF EXISTS )?${PATH}(?:ON CLUSTER (?:\\S+ ))?`)
const ASSIGNMENTS = new RegExp(`^(?:ALTER TABLE ${PATH})?UPDATE (?:${PATH}(?:ON CLUSTER \\S+ )?SET )?`)

/** The commands of an `ALTER TABLE`; none for other statements. */
export function commandsOf({ shape, parts, partAt }: Statement): readonly Statement[] {
  const head = HEAD.exec(shape)?.[0]
  if (head === undefined || head.length === shape.length) return []
  const rest = parts.slice(partAt(head.length))
  const begins = (i: number): boolean => {
    const [comma, verb, after] = [rest[i - 1], rest[i], rest[i + 1]]
    if (!comma || comma.depth > 0 || !isSign(comma, ',')) return false
    if (isSign(verb, '(') || isWord(after, ...THINGS)) return true
    return isWord(verb, ...VERBS) && after !== undefined && ['word', 'name', 'parameter'].includes(after.kind)
  }
  return groupsOf(rest, begins).map((group) => statementOf(bare(group)))
}

/** Without the comma behind it, and without the brackets that a command may stand in. */
function bare(group: readonly Part[]): readonly Part[] {
  const own = isSign(group.at(-1), ',') ? group.slice(0, -1) : group
  const [first, last] = [own[0], own.at(-1)]
  if (!isSign(first, '(') || !isSign(last, ')')) return own
  return own.slice(1, -1).map((part) => ({ ...part, depth: part.depth - 1 }))
}

/** What an update assigns: of each column, its name and the parts of its new value. */
export function assignmentsOf(
  update: Statement,
): readonly { readonly column: Part; readonly value: readonly Part[] }[] {
  const head = ASSIGNMENTS.exec(update.shape)?.[0]
  if (head === undefined) return []
  const rest = update.parts.slice(update.partAt(head.length))
  const end = rest.findIndex((part, i) => part.depth === 0 && (isWord(part, 'WHERE') || startsPartition(rest, i)))
  const list = end < 0 ? rest : rest.slice(0, end)
  const groups = groupsOf(list, (i) => list[i - 1]?.depth === 0 && isSign(list[i - 1], ','))
  return groups.flatMap((group) => {
    const equals = group.findIndex((part) => isSign(part, '='))
    const column = group[equals - 1]
    return column ? [{ column, value: group.slice(equals + 1) }] : []
  })
}

function startsPartition(parts: readonly Part[], i: number): boolean {
  return isWord(parts[i], 'IN') && isWord(parts[i + 1], 'PARTITION')
}
