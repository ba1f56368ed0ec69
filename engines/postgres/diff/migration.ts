import type { Blocked } from '../../model.ts'
import { compareVersions } from '../../versions.ts'
import type { Migration } from '../model.ts'
import type { PgSnapshot } from '../snapshot.ts'
import { changeOf, type PgChange, type Scene } from './claim.ts'

/**
 * Files that are not in the ledger, in the order of their versions. A file that changed after it was applied blocks itself
 * and every later one; files that are in the ledger alone are left in peace.
 */
export function diffMigrations(scene: Scene, wanted: readonly Migration[]): readonly PgChange[] {
  const schemas = Map.groupBy(wanted, ({ spec }) => spec.schema)
  return [...schemas.values()].flatMap((files) => diffFiles(scene, files))
}

function diffFiles({ found }: Scene, files: readonly Migration[]): readonly PgChange[] {
  const applied = files[0] ? appliedFiles(found, files[0].spec.schema) : new Map<string, string>()
  const different = files
    .filter(({ spec }) => applied.get(spec.version) !== spec.checksum)
    .toSorted((a, b) => compareVersions(a.spec.version, b.spec.version))
  const firstChanged = different.findIndex(({ spec }) => applied.has(spec.version))
  const reason = different[firstChanged]
  return different.flatMap((file, n) => {
    const blocked = reason && n >= firstChanged ? changedAfter(reason) : undefined
    return fileChange(file, applied.get(file.spec.version), blocked) ?? []
  })
}

/** The history of a schema counts only as long as the schema is there, as far as was looked. */
export function appliedFiles(found: PgSnapshot, schema: string): ReadonlyMap<string, string> {
  const own = found.databases.get(schema)
  const exists = found.schemas.has(schema) || (own && (!own.inside || own.inside.schemas.has(schema)))
  return (exists && found.ledger.get(schema)) || new Map()
}

function fileChange(file: Migration, found: string | undefined, blocked: Blocked | undefined): PgChange | undefined {
  if (found === undefined) return changeOf(file, { op: 'create', ...(blocked && { blocked }) }, [])
  const fields = [{ field: 'checksum', want: file.spec.checksum, found }]
  return changeOf(file, { op: 'alter', ...(blocked && { blocked }) }, fields)
}

function changedAfter({ spec }: Migration): Blocked {
  const message =
    `SQL file ${spec.name} changed after it was applied to schema "${spec.schema}": restore its text, and put the change ` +
    'into a new file with a higher version'
  return { code: 'MigrationChanged', message, adoptable: false }
}
