import type { Link } from './client.ts'
import { join } from './join.ts'
import { type FileTask, factsOf, LEDGER_INSERT } from './ledger.ts'
import { literal } from './quote.ts'

/** Writes the outcome of a database's first file, provided that `condition`, an expression, does not throw. */
export type Recorder = (entry: Entry, signal: AbortSignal) => Promise<void>

interface Entry {
  readonly run: FileTask
  readonly condition: string
  /** How long the file took. */
  readonly ms: number
}

/** One insert for all that wait: what an insert costs the server hardly depends on its rows. */
export function openRecorder(link: Link): Recorder {
  const write = join(async (entries: readonly Entry[]) => {
    const failed = new Map<string, unknown>()
    for (const [key, alike] of Map.groupBy(entries, keyOf)) {
      await record(link, alike).catch((error: unknown) => failed.set(key, error))
    }
    return failed
  })
  return async (entry, signal) => {
    const failed = await write(entry, signal)
    const key = keyOf(entry)
    if (failed.has(key)) throw failed.get(key)
  }
}

/** What is the same in all rows of one insert. */
function keyOf({ run: { file, installation, by }, condition }: Entry): string {
  return JSON.stringify([condition, installation, file.version, file.name, file.checksum, by])
}

/** The server itself looks what the databases' uuids are, and which tables there are now. One that is gone gets no row. */
async function record(link: Link, entries: readonly Entry[]): Promise<void> {
  const [first] = entries
  if (!first) return
  const { run, condition } = first
  const names = entries.map((entry) => literal(entry.run.database)).join(', ')
  const times = entries.map((entry) => Math.round(entry.ms)).join(', ')
  const sql = `${LEDGER_INSERT}
    SELECT base, max(id), ${factsOf(run)}, 'apply', true, 0, '', transform(base, [${names}], [${times}], 0),
      [], arraySort(groupArrayIf(made, made != '')), []
    FROM (
      SELECT name AS base, uuid AS id, '' AS made FROM system.databases WHERE name IN (${names})
      UNION ALL
      SELECT database, toUUID('00000000-0000-0000-0000-000000000000'), name FROM system.tables WHERE database IN (${names})
    ) WHERE ${condition} GROUP BY base`
  const others = entries.length > 1 ? ` and ${entries.length - 1} others` : ''
  const doing = `record file ${run.file.version} of ${run.database}${others}`
  await link.run(sql, { doing, signal: new AbortController().signal })
}
