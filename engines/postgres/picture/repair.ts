import type { SchemaSubject } from '../../model.ts'
import type { SchemaObject } from '../model.ts'
import { circle } from '../names.ts'
import { text } from '../sql/quote.ts'
import {
  columnDefinition,
  constraintStatement,
  isForeignKey,
  isOwnedBy,
  placed,
  sequenceDefinition,
  tableDefinition,
  typeDefinition,
  viewDefinition,
} from './definitions.ts'
import type { ObjectKind } from './objects.ts'
import { ownerOf, type Picture, type PictureObject } from './picture.ts'
import { OWN_SCHEMA, OWN_TENANT } from './queries.ts'

/** What later things are made of comes first. */
const ORDER: readonly ObjectKind[] = [
  'enum',
  'composite type',
  'domain',
  'function',
  'procedure',
  'sequence',
  'table',
  'column',
  'constraint',
  'index',
  'view',
  'materialized view',
  'trigger',
]

/** What it takes to make one missing object. */
interface Making {
  readonly statements: readonly string[]
  readonly locks: boolean
}

interface Scene {
  readonly want: Picture
  readonly found: Picture
}

/**
 * Makes anew what is missing and takes nothing from anybody when it is there again: types, functions, tables with what belongs to
 * them, columns that may be empty or have a default, indexes that are not unique, views. What would refuse or change rows that
 * there are, such as a constraint or a trigger of a table that was kept, is left to a person. Pure.
 */
export function repairsOf(subject: SchemaSubject, want: Picture, found: Picture): readonly SchemaObject[] {
  // A name that needs quotes cannot be put back where a picture left it out; names of ours need none.
  if (!/^[a-z_][a-z0-9_]*$/.test(subject.schema)) return []
  const missing = [...want].filter(([key]) => !found.has(key)).map(([, object]) => object)
  const ordered = missing.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
  return afterWhatTheyName(ordered).flatMap((object) => {
    const making = makingOf(object, { want, found })
    return making ? [resourceOf(subject, object, making)] : []
  })
}

function makingOf(object: PictureObject, scene: Scene): Making | undefined {
  switch (object.kind) {
    case 'enum':
    case 'composite type':
    case 'domain':
      return free(typeDefinition(object))
    case 'function':
    case 'procedure':
      return free(object.fields.definition)
    case 'view':
      return free(viewDefinition(object))
    case 'materialized view':
      return makingOfMaterializedView(object, scene)
    case 'sequence':
      return makingOfSequence(object, scene)
    default:
      return makingAroundTable(object, scene)
  }
}

/** With its indexes, which nothing else may come before. */
function makingOfMaterializedView(object: PictureObject, { want }: Scene): Making {
  const indexes = [...want.values()].filter(({ kind, fields }) => kind === 'index' && fields.table === object.name)
  return {
    statements: [viewDefinition(object), ...indexes.flatMap(({ fields }) => fields.definition ?? [])],
    locks: true,
  }
}

function makingAroundTable(object: PictureObject, scene: Scene): Making | undefined {
  const { kind, fields, name } = object
  const table = kind === 'index' ? (fields.table ?? '') : ownerOf(name)
  const isKept = scene.found.has(`table ${table}`)
  if (isKept) return makingInKeptTable(object, table)
  const made = scene.want.get(`table ${table}`)
  const statements = made && tableDefinition(made, scene.want)
  return statements && makingWithTable(object, statements)
}

/** Rows are there already: what they must answer to is not added. */
function makingInKeptTable(object: PictureObject, table: string): Making | undefined {
  if (object.kind === 'column') return makingOfColumn(object, table)
  return object.kind === 'index' && !object.fields.unique ? withLock(object.fields.definition, true) : undefined
}

/** Columns and most constraints come with the table itself. */
function makingWithTable(object: PictureObject, table: readonly string[]): Making | undefined {
  if (object.kind === 'table') return { statements: table, locks: false }
  if (isForeignKey(object)) return withLock(constraintStatement(object), true)
  return ['index', 'trigger'].includes(object.kind) ? free(object.fields.definition) : undefined
}

/** One that counted for rows that are still there would begin again at its start. */
function makingOfSequence(object: PictureObject, { want, found }: Scene): Making | undefined {
  const kept = [...found.values()].some(({ kind, name }) => kind === 'table' && isOwnedBy(object, name))
  const owner = ownerOf(object.fields['owned by'] ?? '')
  if (kept || object.fields.identity || !isMade(want, owner)) return undefined
  return free(sequenceDefinition(object))
}

function isMade(want: Picture, table: string): boolean {
  const object = want.get(`table ${table}`)
  return object !== undefined && tableDefinition(object, want) !== undefined
}

/** A default, even one that is worked out for each row, fills the rows that there are. */
function makingOfColumn(object: PictureObject, table: string): Making | undefined {
  const { fields } = object
  const filled = fields.default ?? fields.generated ?? fields.identity
  if (fields['not null'] && filled === undefined) return undefined
  return withLock(`ALTER TABLE ${placed(table)} ADD COLUMN ${columnDefinition(object)}`, filled !== undefined)
}

function free(statement: string | undefined): Making | undefined {
  return withLock(statement, false)
}

function withLock(statement: string | undefined, locks: boolean): Making | undefined {
  return statement === undefined ? undefined : { statements: [statement], locks }
}

function resourceOf(subject: SchemaSubject, object: PictureObject, { statements, locks }: Making): SchemaObject {
  const { schema, tenant = '', place } = subject
  const put = (statement: string): string =>
    statement.replaceAll(OWN_TENANT, () => text(tenant)).replaceAll(OWN_SCHEMA, () => schema)
  return {
    kind: 'SchemaObject',
    id: `object/${schema}/${object.kind}/${object.name}`,
    spec: { ...circle(schema, place), title: `${object.kind} ${object.name}`, statements: statements.map(put), locks },
    data: false,
  }
}

/** Views and functions are made after those that their definitions name; of a circle, which takes two files, the order stays. */
function afterWhatTheyName(objects: readonly PictureObject[]): readonly PictureObject[] {
  const names = (a: PictureObject, b: PictureObject): boolean =>
    a !== b && a.kind === b.kind && (a.fields.definition ?? '').includes(placed(b.name.replace(/\(.*$/s, '')))
  const left = [...objects]
  const result: PictureObject[] = []
  while (left.length > 0) {
    const next = left.findIndex((object) => !left.some((other) => names(object, other)))
    result.push(...left.splice(Math.max(next, 0), 1))
  }
  return result
}
