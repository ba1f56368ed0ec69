import type { Blocked } from '../model.ts'
import type { ChChange } from './compare.ts'
import type { Of } from './resources.ts'
import type { ChSnapshot, FoundFile } from './snapshot.ts'

/**
 * Files of one database, in order. A file is to be run when the ledger of this incarnation of the database does not know
 * it, and again when a table that it made is gone; then every later file runs again too, for it may have altered that
 * table. This is why files must be idempotent (`IF NOT EXISTS`).
 */
export function diffFiles(files: readonly Of<'file'>[], found: ChSnapshot): readonly ChChange[] {
  const [base] = files.map((f) => f.spec.base)
  if (base === undefined) return []
  const applied = appliedFiles(base, found)
  const lost = lostTables(applied, found.tables.get(base)?.map((t) => t.name) ?? [])
  const changes: ChChange[] = []
  let blocked: Blocked | undefined
  let again = false
  for (const target of files.toSorted(byVersion)) {
    const { file } = target.spec
    const entry = applied.get(file.version)
    const missing = lost.get(file.version) ?? []
    again ||= missing.length > 0
    const change = fileChange(target, entry, { missing, again })
    blocked ??= change?.blocked
    if (change) changes.push(blocked ? { ...change, blocked } : change)
  }
  return changes
}

function byVersion(a: Of<'file'>, b: Of<'file'>): number {
  return a.spec.file.version < b.spec.file.version ? -1 : 1
}

function fileChange(
  target: Of<'file'>,
  entry: FoundFile | undefined,
  { missing, again }: { missing: readonly string[]; again: boolean },
): ChChange | undefined {
  const { base, file } = target.spec
  const what = `file ${file.version} ${file.name}`
  if (!entry) return { op: 'create', target, risk: 'safe', fields: [], summary: `apply ${what} to ${base}` }
  if (entry.checksum !== file.checksum) {
    const fields = [{ field: 'checksum', want: file.checksum, found: entry.checksum }]
    const message = `${what} was changed after it was applied to ${base}: restore it, and put the change into a new file`
    const blocked = { code: 'MigrationChanged', message, adoptable: false } as const
    return { op: 'alter', target, risk: 'safe', fields, summary: `apply changed ${what} to ${base}`, blocked }
  }
  if (!again) return undefined
  const fields = missing.map((table) => ({ field: 'table', want: table }))
  return { op: 'alter', target, risk: 'safe', fields, summary: `apply ${what} to ${base} again` }
}

/** By version: what was applied to the database as it is now, not to one of the same name that was dropped. */
export function appliedFiles(base: string, found: ChSnapshot): ReadonlyMap<string, FoundFile> {
  const uuid = found.databases.get(base)?.uuid
  const current = (found.ledger.get(base) ?? []).filter((f) => f.uuid === uuid)
  return new Map(current.toSorted((a, b) => (a.version < b.version ? -1 : 1)).map((f) => [f.version, f]))
}

/** Tables that should exist after all applied files but do not, by the version of the file that made them. */
function lostTables(
  applied: ReadonlyMap<string, FoundFile>,
  existing: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const maker = new Map<string, string>()
  for (const { version, made, dropped } of applied.values()) {
    for (const table of dropped) maker.delete(table)
    for (const table of made) maker.set(table, version)
  }
  for (const table of existing) maker.delete(table)
  return Map.groupBy(maker.keys(), (table) => maker.get(table) ?? '')
}
