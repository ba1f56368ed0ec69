import { ownerOf, type Picture, type PictureObject } from './picture.ts'

/** Where an object of a schema is, with `:schema` for the schema's name. */
export function placed(name: string): string {
  return `:schema.${name}`
}

/** A column as it stands in CREATE TABLE and ADD COLUMN. */
export function columnDefinition({ name, fields }: PictureObject): string {
  const { type = '', collation, default: initial, generated, identity } = fields
  return [
    name.slice(ownerOf(name).length + 1),
    type,
    collation && `COLLATE ${collation}`,
    initial && `DEFAULT ${initial}`,
    generated && `GENERATED ALWAYS AS (${generated.replace(/ (stored|virtual)$/, '')}) ${kindOfGenerated(generated)}`,
    identity && `GENERATED ${identity.toUpperCase()} AS IDENTITY`,
    fields['not null'] && 'NOT NULL',
  ]
    .filter(Boolean)
    .join(' ')
}

function kindOfGenerated(generated: string): string {
  return generated.endsWith(' stored') ? 'STORED' : 'VIRTUAL'
}

/** CREATE TABLE with columns and constraints but for foreign keys; undefined for a table that takes more than that. */
export function tableDefinition(table: PictureObject, picture: Picture): readonly string[] | undefined {
  const { fields, name } = table
  if (fields.kind === 'foreign table' || fields.inherits || fields['row security'] || fields['replica identity'])
    return undefined
  const parts = [...picture.values()].filter((one) => ownerOf(one.name) === name)
  const columns = parts.filter(({ kind }) => kind === 'column').map(columnDefinition)
  const constraints = parts.filter((one) => one.kind === 'constraint' && !isForeignKey(one)).map(constraintDefinition)
  const partition = fields['partition key'] ? ` PARTITION BY ${fields['partition key']}` : ''
  const options = fields.options ? ` WITH (${fields.options})` : ''
  const create = `CREATE ${fields.unlogged ? 'UNLOGGED ' : ''}TABLE ${placed(name)} (${[...columns, ...constraints].join(', ')})`
  const owned = [...picture.values()].filter((one) => isOwnedBy(one, name) && !one.fields.identity)
  return [
    `${create}${partition}${options}`,
    ...owned.map((one) => `ALTER SEQUENCE ${placed(one.name)} OWNED BY ${placed(one.fields['owned by'] ?? '')}`),
  ]
}

/** Whether a sequence goes with a column of the table. */
export function isOwnedBy({ kind, fields }: PictureObject, table: string): boolean {
  return kind === 'sequence' && ownerOf(fields['owned by'] ?? '') === table
}

export function isForeignKey({ kind, fields }: PictureObject): boolean {
  return kind === 'constraint' && fields.definition?.startsWith('FOREIGN KEY') === true
}

function constraintDefinition({ name, fields }: PictureObject): string {
  return `CONSTRAINT ${name.slice(ownerOf(name).length + 1)} ${fields.definition ?? ''}`
}

export function constraintStatement(constraint: PictureObject): string {
  return `ALTER TABLE ${placed(ownerOf(constraint.name))} ADD ${constraintDefinition(constraint)}`
}

export function sequenceDefinition({ name, fields }: PictureObject): string {
  const { type, start, increment, minimum, maximum, cache, cycle } = fields
  return (
    `CREATE SEQUENCE ${placed(name)} AS ${type} START ${start} INCREMENT ${increment} MINVALUE ${minimum} MAXVALUE ${maximum} ` +
    `CACHE ${cache}${cycle ? ' CYCLE' : ''}`
  )
}

/** Undefined for a range, which may come with functions. */
export function typeDefinition({ kind, name, fields }: PictureObject): string | undefined {
  const { labels = '', attributes = '', base, default: initial, constraints } = fields
  if (kind === 'enum') return `CREATE TYPE ${placed(name)} AS ENUM (${labels})`
  if (kind === 'composite type') return `CREATE TYPE ${placed(name)} AS (${attributes})`
  if (kind !== 'domain') return undefined
  const rest = [initial && `DEFAULT ${initial}`, fields['not null'] && 'NOT NULL', constraints].filter(Boolean)
  return [`CREATE DOMAIN ${placed(name)} AS ${base}`, ...rest].join(' ')
}

export function viewDefinition({ kind, name, fields }: PictureObject): string {
  const options = fields.options ? ` WITH (${fields.options})` : ''
  return `CREATE ${kind.toUpperCase()} ${placed(name)}${options} AS ${fields.definition ?? ''}`
}
