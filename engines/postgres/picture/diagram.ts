import { ownerOf, type Picture, type PictureObject } from './picture.ts'

/** A Mermaid ER diagram of the tables in a picture: columns with their types and keys, and foreign keys as relations. Pure. */
export function diagram(picture: Picture): string {
  const objects = [...picture.values()]
  const tables = objects.filter(({ kind, fields }) => kind === 'table' && !fields.inherits).toSorted(byName)
  const constraints = objects.filter(({ kind }) => kind === 'constraint').toSorted(byName)
  const relations = constraints.flatMap((one) => relationOf(one, objects) ?? [])
  return ['erDiagram', ...tables.flatMap((table) => boxOf(table, objects, constraints)), ...relations, ''].join('\n')
}

function byName(a: PictureObject, b: PictureObject): number {
  return a.name < b.name ? -1 : Number(a.name > b.name)
}

function boxOf(
  table: PictureObject,
  objects: readonly PictureObject[],
  constraints: readonly PictureObject[],
): readonly string[] {
  const own = constraints.filter(({ name }) => ownerOf(name) === table.name)
  const columns = objects.filter(({ kind, name }) => kind === 'column' && ownerOf(name) === table.name).toSorted(byName)
  const lines = columns.map((column) => lineOf(column, own))
  const keyed = lines.toSorted((a, b) => rank(a) - rank(b))
  return [`    ${entity(table.name)} {`, ...keyed.map(({ text }) => `        ${text}`), '    }']
}

interface Line {
  readonly text: string
  readonly keys: readonly string[]
}

/** Primary keys first, then foreign ones. */
function rank({ keys }: Line): number {
  return keys.includes('PK') ? 0 : keys.includes('FK') ? 1 : 2
}

const KEYS = {
  PK: /^PRIMARY KEY \((.*?)\)/,
  FK: /^FOREIGN KEY \((.*?)\)/,
  UK: /^UNIQUE [^(]*\((.*?)\)|^UNIQUE \((.*?)\)/,
} as const

function lineOf({ name, fields }: PictureObject, constraints: readonly PictureObject[]): Line {
  const column = name.slice(ownerOf(name).length + 1)
  const keys = Object.entries(KEYS).flatMap(([key, pattern]) =>
    constraints.some(({ fields: { definition = '' } }) => columnsIn(definition, pattern).includes(column)) ? [key] : [],
  )
  const type = (fields.type ?? '').replaceAll(/[^A-Za-z0-9_()[\]]+/g, '_')
  const optional = fields['not null'] ? '' : ' "may be empty"'
  return { keys, text: `${type} ${word(column)}${keys.length > 0 ? ` ${keys.join(', ')}` : ''}${optional}` }
}

function columnsIn(definition: string, pattern: RegExp): readonly string[] {
  const found = pattern.exec(definition)
  return (found?.[1] ?? found?.[2] ?? '').split(', ')
}

const FOREIGN_KEY = /^FOREIGN KEY \((?<columns>.*?)\) REFERENCES :schema\.(?<table>"(?:[^"]|"")*"|[^(\s]+)\(/

function relationOf(
  { name, fields: { definition = '' } }: PictureObject,
  objects: readonly PictureObject[],
): string | undefined {
  const { columns, table } = FOREIGN_KEY.exec(definition)?.groups ?? {}
  if (columns === undefined || table === undefined) return undefined
  const from = ownerOf(name)
  const parts = columns.split(', ').map((column) => `${from}.${column}`)
  const required = parts.every((part) =>
    objects.some((one) => one.kind === 'column' && one.name === part && one.fields['not null']),
  )
  return `    ${entity(table)} ${required ? '||' : '|o'}--o{ ${entity(from)} : "${label(columns)}"`
}

/** In double quotes Mermaid takes any name but those with a double quote. */
function entity(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : `"${label(name)}"`
}

function label(text: string): string {
  return text.replaceAll('"', '').replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ')
}

/** Names of columns may have letters, digits, hyphens and underscores. */
function word(name: string): string {
  const plain = name.replaceAll(/[^A-Za-z0-9_-]+/g, '_')
  return /^[A-Za-z]/.test(plain) ? plain : `c${plain}`
}
