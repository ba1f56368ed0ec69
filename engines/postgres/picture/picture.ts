import type { FieldDiff, ObjectDifference } from '../../model.ts'
import { masked } from './masked.ts'
import type { ObjectKind } from './objects.ts'

/** One object of a schema. `name` and the values of fields have `:schema` for the schema's own name; names are quoted as in SQL. */
export interface PictureObject {
  readonly kind: ObjectKind
  readonly name: string
  readonly fields: Readonly<Record<string, string>>
}

/** All objects of a schema by kind and name. */
export type Picture = ReadonlyMap<string, PictureObject>

/** An object as the server tells it. */
export type Entry = readonly [kind: ObjectKind, name: string, fields: Readonly<Record<string, string>>]

/** Pure. */
export function pictureOf(entries: readonly Entry[]): Picture {
  return new Map(entries.map(([kind, name, fields]) => [`${kind} ${name}`, { kind, name, fields }]))
}

/** What is another thing than wanted, in the order of kinds and names: [] when nothing differs. Pure. */
export function comparePictures(want: Picture, found: Picture): readonly ObjectDifference[] {
  const keys = [...new Set([...want.keys(), ...found.keys()])].toSorted()
  const differences = keys.flatMap((key) => differenceOf(want.get(key), found.get(key)) ?? [])
  const whole = new Set(
    differences.filter(({ state }) => state !== 'different').map(({ kind, name }) => `${kind} ${name}`),
  )
  return differences.filter((difference) => !isPartOf(difference, whole))
}

function differenceOf(want: PictureObject | undefined, found: PictureObject | undefined): ObjectDifference | undefined {
  const { kind, name } = want ?? found ?? {}
  if (kind === undefined || name === undefined) return undefined
  if (!found) return { kind, name, state: 'missing', fields: [] }
  if (!want) return { kind, name, state: 'extra', fields: [] }
  const fields = differingFields(want, found)
  return fields.length > 0 ? { kind, name, state: 'different', fields } : undefined
}

/** Values are told without the literals in them: a default or a condition may hold somebody's data. */
function differingFields(want: PictureObject, found: PictureObject): readonly FieldDiff[] {
  const names = [...new Set([...Object.keys(want.fields), ...Object.keys(found.fields)])].toSorted()
  return names.flatMap((field) => {
    const [wanted, is] = [want.fields[field], found.fields[field]]
    if (wanted === is) return []
    return [
      { field, ...told('want', masked(want.kind, field, wanted)), ...told('found', masked(want.kind, field, is)) },
    ]
  })
}

function told<K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, string>)
}

const PARTS: readonly string[] = ['column', 'constraint', 'trigger', 'policy', 'rule']

/** A missing table misses its columns as well: that goes without saying. */
function isPartOf({ kind, name, state }: ObjectDifference, whole: ReadonlySet<string>): boolean {
  if (!PARTS.includes(kind) || state === 'different') return false
  const owner = ownerOf(name)
  return ['table', 'view', 'materialized view'].some((of) => whole.has(`${of} ${owner}`))
}

/** `orders` of `orders.total`, `"a.b"` of `"a.b".c`. */
export function ownerOf(name: string): string {
  return /^(?:"(?:[^"]|"")*"|[^".]*)/.exec(name)?.[0] ?? ''
}
