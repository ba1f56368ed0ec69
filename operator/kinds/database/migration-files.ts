import { createHash } from 'node:crypto'
import { AppError } from '@tenantry/crds/errors.ts'
import type { MigrationFile } from '@tenantry/engines/model.ts'
import { compareVersions } from '@tenantry/engines/versions.ts'

/** A ConfigMap's name and its files. */
export interface Source {
  readonly name: string
  readonly data: Readonly<Record<string, string>>
}

const FILE = /^[Vv]?(?<version>\d{1,20})(?:[_.-]+(?<name>.*))?\.sql$/

/**
 * The ordered SQL files of a Database: every `*.sql` key of its ConfigMaps, ordered by the number at the start of the key
 * (`0001_customers.sql`, `V20260101120000__orders.sql`), of which leading zeros do not count. Other keys are ignored. Throws `SourceInvalid` when a file has no
 * number or two files have the same one.
 */
export function migrationFiles(sources: readonly Source[]): readonly MigrationFile[] {
  const files = new Map<string, MigrationFile & { readonly from: string }>()
  for (const { name: from, data } of sources) {
    for (const [key, text] of Object.entries(data)) {
      if (!key.endsWith('.sql')) continue
      const file = parseFile(from, key, text)
      const other = files.get(file.version)
      if (other) throw twice(other, file)
      files.set(file.version, file)
    }
  }
  return [...files.values()]
    .toSorted((a, b) => compareVersions(a.version, b.version))
    .map(({ version, name, checksum, body }) => ({ version, name, checksum, body }))
}

function parseFile(from: string, key: string, text: string): MigrationFile & { from: string } {
  const version = FILE.exec(key)?.groups?.version
  if (version === undefined) {
    throw new AppError(
      'SourceInvalid',
      `read file ${key} of ConfigMap ${from}: its name must start with a number that orders it, such as 0001_${key}`,
    )
  }
  const body = text.replaceAll('\r\n', '\n')
  const checksum = createHash('sha256').update(body).digest('hex')
  return { from, version: version.replace(/^0+(?=\d)/, ''), name: key, checksum, body }
}

function twice(a: { from: string; name: string }, b: { from: string; name: string }): AppError {
  return new AppError(
    'SourceInvalid',
    `order the SQL files: ${a.name} of ConfigMap ${a.from} and ${b.name} of ConfigMap ${b.from} have the same number; renumber one`,
  )
}
