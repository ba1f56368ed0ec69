import type { Blocked } from '../../model.ts'
import { compareVersions } from '../../versions.ts'
import type { Migration, Reversal } from '../model.ts'
import type { PgSnapshot } from '../snapshot.ts'
import { changeOf, dropOf, type PgChange, type Scene } from './claim.ts'

/**
 * Files that are not in the ledger, in the order of their versions. A file that changed after it was applied blocks itself
 * and every later one, unless its new text is to be recorded; files that are in the ledger alone are left in peace.
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
  const firstChanged = different.findIndex(({ spec }) => applied.has(spec.version) && !spec.repair)
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
  const change = changeOf(file, { op: 'alter', ...(blocked && { blocked }) }, fields)
  const { repair, name, schema } = file.spec
  return change && repair ? { ...change, summary: `record the changed text of ${name} in ${schema}` } : change
}

/**
 * Files that are in the ledger and must not be, the last first. Nothing of a tenant's is lost by undoing one, which is refused
 * where something would be; but what a guarded table or column was made for is, and so somebody is to agree.
 */
export function diffReversals({ found }: Scene, wanted: readonly Reversal[]): readonly PgChange[] {
  const applied = wanted.filter(({ spec }) => appliedFiles(found, spec.schema).has(spec.version))
  return applied
    .toSorted((a, b) => compareVersions(b.spec.version, a.spec.version))
    .map((target) => {
      const { schema, version, checksum, down } = target.spec
      const isSame = appliedFiles(found, schema).get(version) === checksum
      return {
        ...dropOf(target),
        risk: down.guards.length > 0 ? 'destructive' : 'disruptive',
        summary: `undo ${target.spec.name} in ${schema}`,
        ...(!isSame && { blocked: changedAfter(target) }),
      }
    })
}

function changedAfter({ spec }: Migration | Reversal): Blocked {
  const message =
    `SQL file ${spec.name} changed after it was applied to schema "${spec.schema}": restore its text, and put the change ` +
    'into a new file with a higher version'
  return { code: 'MigrationChanged', message, adoptable: false }
}
