import { createHash } from 'node:crypto'
import { AppError } from '@tenantry/crds/errors.ts'
import type { SqlText } from '@tenantry/engines/model.ts'
import { type Header, parseHeader } from '@tenantry/engines/postgres/lint/header.ts'
import { compareVersions } from '@tenantry/engines/versions.ts'

/** A ConfigMap's name and its files. */
export interface Source {
  readonly name: string
  readonly data: Readonly<Record<string, string>>
}

/** A SQL file as it was found: with what undoes it, if that lies beside it. */
export interface ParsedFile extends SqlText {
  readonly version: string
  readonly header: Header
  readonly undo?: SqlText
}

type Found = Omit<ParsedFile, 'undo'> & { readonly from: string }

const FILE = /^[Vv]?(?<version>\d{1,20})(?:[_.-]+(?<name>.*))?\.sql$/
const DOWN = '.down.sql'

/** The parser reads no more: 5 MiB. */
const LARGEST = 5 * 1024 * 1024

/**
 * The ordered SQL files of a Database: every `*.sql` key of its ConfigMaps, ordered by the number at the start of the key
 * (`0001_customers.sql`, `V20260101120000__orders.sql`), of which leading zeros do not count. `0001_customers.down.sql` undoes
 * `0001_customers.sql`. Other keys are ignored. Throws `SourceInvalid` when a file has no number, is too large, requires one
 * that is not before it or undoes one that is not there, and when two files have the same number.
 */
export function migrationFiles(sources: readonly Source[]): readonly ParsedFile[] {
  const files = new Map<string, Found>()
  const downs = new Map<string, SqlText & { readonly from: string }>()
  for (const { from, key, text } of sqlOf(sources)) {
    if (key.endsWith(DOWN)) {
      const name = `${key.slice(0, -DOWN.length)}.sql`
      const down = { from, ...textOf(from, key, text) }
      const other = downs.get(name)
      if (other) throw twice(other, down)
      downs.set(name, down)
      continue
    }
    const file = parseFile(from, key, text)
    const other = files.get(file.version)
    if (other) throw twice(other, file)
    files.set(file.version, file)
  }
  const ordered = [...files.values()].toSorted((a, b) => compareVersions(a.version, b.version))
  checkRequirements(ordered)
  return withDowns(ordered, downs)
}

function* sqlOf(sources: readonly Source[]): Generator<{ from: string; key: string; text: string }> {
  for (const { name: from, data } of sources) {
    for (const [key, text] of Object.entries(data)) if (key.endsWith('.sql')) yield { from, key, text }
  }
}

function parseFile(from: string, key: string, text: string): Found {
  const version = FILE.exec(key)?.groups?.version
  if (version === undefined) {
    throw new AppError(
      'SourceInvalid',
      `read file ${key} of ConfigMap ${from}: its name must start with a number that orders it, such as 0001_${key}`,
    )
  }
  const read = textOf(from, key, text)
  return { from, version: version.replace(/^0+(?=\d)/, ''), ...read, header: parseHeader(read.body).header }
}

function textOf(from: string, name: string, text: string): SqlText {
  const body = text.replaceAll('\r\n', '\n')
  const size = Buffer.byteLength(body)
  if (size > LARGEST) {
    throw new AppError(
      'SourceInvalid',
      `read file ${name} of ConfigMap ${from}: it has ${size} bytes, and at most ${LARGEST} are read; split it, and load large data by other means`,
    )
  }
  return { name, checksum: createHash('sha256').update(body).digest('hex'), body }
}

function checkRequirements(files: readonly Found[]): void {
  const before = new Set<string>()
  for (const { from, name, version, header } of files) {
    const { requires } = header
    if (requires !== undefined && !before.has(requires)) {
      throw new AppError(
        'SourceInvalid',
        `order the SQL files: ${name} of ConfigMap ${from} requires ${requires}, and no file of that number comes before it; add that file, or correct the header`,
      )
    }
    before.add(version)
  }
}

function withDowns(
  files: readonly Found[],
  downs: ReadonlyMap<string, SqlText & { readonly from: string }>,
): readonly ParsedFile[] {
  const names = new Set(files.map(({ name }) => name))
  for (const [name, down] of downs) {
    if (names.has(name)) continue
    throw new AppError(
      'SourceInvalid',
      `read file ${down.name} of ConfigMap ${down.from}: there is no ${name} that it could undo; add it, or correct the name`,
    )
  }
  return files.map(({ from: _, ...file }) => {
    const down = downs.get(file.name)
    if (!down) return file
    const { name, checksum, body } = down
    return { ...file, undo: { name, checksum, body } }
  })
}

function twice(a: { from: string; name: string }, b: { from: string; name: string }): AppError {
  return new AppError(
    'SourceInvalid',
    `order the SQL files: ${a.name} of ConfigMap ${a.from} and ${b.name} of ConfigMap ${b.from} have the same number; renumber one`,
  )
}
