import type { Blocked, Risk } from '../model.ts'
import { compareVersions } from '../versions.ts'
import type { ChChange } from './compare.ts'
import { isApplied, REVERTED } from './ledger.ts'
import { losesData } from './prepared.ts'
import type { Of } from './resources.ts'
import type { ChSnapshot, FoundFile } from './snapshot.ts'

/**
 * Files of one database, in order. A file is to be run when the ledger of this incarnation of the database does not know
 * it, and again when a table that it made is gone; then every later file runs again too, for it may have altered that
 * table. This is why files must be idempotent (`IF NOT EXISTS`), and why one of those is destructive that loses data: what it
 * drops has come to life since.
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

function byVersion(a: Of<'file' | 'reversal'>, b: Of<'file' | 'reversal'>): number {
  return compareVersions(a.spec.file.version, b.spec.file.version)
}

/**
 * Files that are to be undone and are applied, or halfway undone: the last first. Whether what they drop is empty is seen when
 * that is done, and a moment before: where that is asked for, it is destructive.
 */
export function diffReversals(reversals: readonly Of<'reversal'>[], found: ChSnapshot): readonly ChChange[] {
  return reversals
    .toSorted((a, b) => byVersion(b, a))
    .flatMap((target): readonly ChChange[] => {
      const { base, file } = target.spec
      const entry = current(base, found).find(({ version }) => version === file.version)
      if (!entry || entry.checksum === REVERTED) return []
      const risk: Risk = file.down && file.down.guards.length > 0 ? 'destructive' : 'disruptive'
      return [{ op: 'drop', target, risk, fields: [], summary: `undo file ${file.version} ${file.name} in ${base}` }]
    })
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
    if (file.repair) return { op: 'alter', target, risk: 'safe', fields, summary: `record the changed text of ${what}` }
    const message = `${what} was changed after it was applied to ${base}: restore it, and put the change into a new file`
    const blocked = { code: 'MigrationChanged', message, adoptable: false } as const
    return { op: 'alter', target, risk: 'safe', fields, summary: `apply changed ${what} to ${base}`, blocked }
  }
  if (!again) return undefined
  const fields = missing.map((table) => ({ field: 'table', want: table }))
  const risk = losesData(file) ? 'destructive' : 'safe'
  return { op: 'alter', target, risk, fields, summary: `apply ${what} to ${base} again` }
}

/** By version: what was applied to the database as it is now, not to one of the same name that was dropped. */
export function appliedFiles(base: string, found: ChSnapshot): ReadonlyMap<string, FoundFile> {
  const applied = current(base, found).filter(({ checksum }) => isApplied(checksum))
  return new Map(applied.toSorted((a, b) => compareVersions(a.version, b.version)).map((f) => [f.version, f]))
}

function current(base: string, found: ChSnapshot): readonly FoundFile[] {
  const uuid = found.databases.get(base)?.uuid
  return (found.ledger.get(base) ?? []).filter((file) => file.uuid === uuid)
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
