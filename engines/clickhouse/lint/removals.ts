import { commandsOf } from './alter.ts'
import { NAME, type Part, type Statement } from './reading.ts'
import { type Hit, named } from './rule.ts'

const REMOVED = new RegExp(
  `^(?:DROP|RENAME) (?:TABLE |VIEW |DICTIONARY |COLUMN )?(?:IF EXISTS )?((?!IF EXISTS |TABLE |PARTITION |PART |INDEX )${NAME})`,
  'd',
)
const MADE = new RegExp(
  `^(?:CREATE (?:TABLE|VIEW|MATERIALIZED VIEW|DICTIONARY)|ADD COLUMN) IF NOT EXISTS (${NAME})`,
  'd',
)

/** What statements drop or rename that an earlier one of the file uses: run again, that one misses it. By number of the statement. */
export function usedBeforeRemoval(statements: readonly Statement[]): readonly (readonly Hit[])[] {
  const firstUse = new Map<string, { readonly safe: boolean }>()
  return statements.map((statement) => {
    const steps = [statement, ...commandsOf(statement)]
    const hits = namesOf(steps, REMOVED).flatMap((part): readonly Hit[] => {
      const use = firstUse.get(part.text)
      if (use === undefined || use.safe) return []
      return [{ message: `${named([part])} is removed here, and used by an earlier statement`, part }]
    })
    const made = new Set(namesOf(steps, MADE).map(({ text }) => text))
    for (const { kind, text } of statement.parts) {
      if ((kind === 'word' || kind === 'name') && !firstUse.has(text)) firstUse.set(text, { safe: made.has(text) })
    }
    return hits
  })
}

function namesOf(steps: readonly Statement[], pattern: RegExp): readonly Part[] {
  return steps.flatMap(({ shape, parts, partAt }) => {
    const [from] = pattern.exec(shape)?.indices?.[1] ?? []
    const part = from === undefined ? undefined : parts[partAt(from)]
    return part ? [part] : []
  })
}
