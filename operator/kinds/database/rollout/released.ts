import { createHash } from 'node:crypto'
import { RELEASED_MAX, type RolloutStatus } from '@tenantry/crds/schema.ts'
import type { MigrationFile } from '@tenantry/engines/model.ts'
import { compareVersions } from '@tenantry/engines/versions.ts'
import type { Unit } from './unit.ts'

/** How a file is found among those that rollouts have brought to everybody. */
export type Release = 'released' | 'changed' | 'new'

/** What is written down of released files; of very many, the last ones. */
export function marksOf(files: readonly MigrationFile[]): readonly string[] {
  return files.slice(-RELEASED_MAX).map(markOf)
}

function markOf({ version, checksum }: MigrationFile): string {
  return `${version}:${checksum.slice(0, 8)}`
}

/** Tells of each file whether it was released, and with this text. A file below all of a full list was. */
export function releaseOf(marks: readonly string[]): (file: MigrationFile) => Release {
  const known = new Map(marks.map((mark) => [mark.slice(0, mark.indexOf(':')), mark]))
  const lowest = marks.length < RELEASED_MAX ? undefined : [...known.keys()].toSorted(compareVersions)[0]
  return (file) => {
    const mark = known.get(file.version)
    if (mark !== undefined) return mark === markOf(file) ? 'released' : 'changed'
    return lowest !== undefined && compareVersions(file.version, lowest) < 0 ? 'released' : 'new'
  }
}

/**
 * What was released so far. Where that was never written down, or was lost, it is what every tenant has: files that only
 * some of them have are rolled out anew, and cost those nothing.
 */
export function releasedSoFar(
  previous: RolloutStatus | undefined,
  files: readonly MigrationFile[],
  units: readonly Unit[],
): readonly string[] {
  if (previous?.released) return previous.released
  const awake = units.filter(({ settled, suspended }) => settled && !suspended)
  const versions = awake.map(({ version }) => version)
  if (versions.length === 0 || versions.includes(undefined)) return []
  const lowest = versions.filter((version) => version !== undefined).toSorted(compareVersions)[0] ?? '0'
  return marksOf(files.filter(({ version }) => compareVersions(version, lowest) <= 0))
}

/** Identifies files with their texts. */
export function digestOf(files: readonly MigrationFile[]): string {
  const hash = createHash('sha256')
  for (const { version, checksum } of files) hash.update(`${version}:${checksum}\n`)
  return hash.digest('hex').slice(0, 16)
}
