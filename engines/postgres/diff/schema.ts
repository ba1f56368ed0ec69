import type { FieldDiff } from '../../model.ts'
import { type Acl, compareAcl } from '../acl.ts'
import type { Circle, DefaultPrivileges, ObjectGrants, SchemaResource } from '../model.ts'
import type { DefaultAcl, FoundSchema, ObjectGroup, ObjectKind } from '../snapshot.ts'
import { changeOf, claim, field, markField, type PgChange, type Scene, surplus } from './claim.ts'

/** What the groups may do with each kind of object. */
export const GRANTS: Readonly<Record<ObjectKind, { readonly rw: string; readonly ro: string }>> = {
  table: { rw: 'arwd', ro: 'r' },
  sequence: { rw: 'rwU', ro: 'r' },
  function: { rw: 'X', ro: 'X' },
}

/** Where a schema's facts are: the shard's database or the tenant's own. Undefined when that was not looked into. */
interface Surroundings {
  readonly schemas: ReadonlyMap<string, FoundSchema>
  readonly defaults: ReadonlyMap<string, readonly DefaultAcl[]>
}

const NOTHING: Surroundings = { schemas: new Map(), defaults: new Map() }

function surroundings({ found }: Scene, place: string | undefined): Surroundings | undefined {
  if (place === undefined) return found
  const database = found.databases.get(place)
  return database ? database.inside : NOTHING
}

export function diffSchema(scene: Scene, target: SchemaResource): PgChange | undefined {
  const { schema, owner, rw, ro, place } = target.spec
  const around = surroundings(scene, place)
  if (!around) return undefined
  const found = around.schemas.get(schema)
  if (!found) return changeOf(target, { op: 'create' }, [])
  return changeOf(target, claim(scene, { title: `schema "${schema}"`, mark: found.mark }), [
    ...field('owner', owner, found.owner),
    ...grants(scene, found.acl, { owners: [owner, found.owner], wanted: { [rw]: 'U', [ro]: 'U' } }),
    ...markField(scene, found.comment, {}),
  ])
}

/** Missing or different grants of ours, and grants to anybody else but the owner and the administrator. */
export function grants(
  { found }: Scene,
  acl: Acl,
  { owners, wanted }: { owners: readonly string[]; wanted: Readonly<Record<string, string>> },
): readonly FieldDiff[] {
  const { missing, foreign } = compareAcl(acl, wanted, [found.server.admin, ...owners])
  return [
    ...missing.flatMap((name) => field(`grants to ${name}`, wanted[name] ?? '', acl.get(name) ?? '')),
    ...surplus('foreign grants', foreign),
  ]
}

export function diffObjectGrants(scene: Scene, target: ObjectGrants): PgChange | undefined {
  const found = surroundings(scene, target.spec.place)?.schemas.get(target.spec.schema)
  const fields = found?.objects.flatMap((group) => objectFields(scene, target.spec, group)) ?? []
  return changeOf(target, { op: 'alter' }, merge(fields))
}

function objectFields(scene: Scene, { owner, rw, ro }: Circle, group: ObjectGroup): readonly FieldDiff[] {
  const { kind } = group
  const wanted = { [rw]: GRANTS[kind].rw, [ro]: GRANTS[kind].ro }
  return [
    ...field(`${kind} owner`, owner, group.owner),
    ...grants(scene, group.acl, { owners: [owner, group.owner], wanted }).map((diff) => ({
      ...diff,
      field: `${kind} ${diff.field}`,
    })),
  ]
}

/** Several groups of objects may differ in the same way. */
function merge(fields: readonly FieldDiff[]): readonly FieldDiff[] {
  return [...new Map(fields.map((f) => [JSON.stringify(f), f])).values()].toSorted((a, b) =>
    JSON.stringify(a) < JSON.stringify(b) ? -1 : 1,
  )
}

const DEFAULT_KINDS: readonly (readonly [type: string, kind: ObjectKind])[] = [
  ['r', 'table'],
  ['S', 'sequence'],
  ['f', 'function'],
]

export function diffDefaults(scene: Scene, target: DefaultPrivileges): PgChange | undefined {
  const { schema, owner, rw, ro, place, tables } = target.spec
  const around = surroundings(scene, place)
  if (!around) return undefined
  const found = around.defaults.get(owner) ?? []
  const want = new Map<string, string>([[' f', `${owner}=X`]])
  for (const [type, kind] of DEFAULT_KINDS) {
    if (kind === 'table' && !tables) continue
    want.set(
      `${schema} ${type}`,
      printAcl(
        new Map([
          [rw, GRANTS[kind].rw],
          [ro, GRANTS[kind].ro],
        ]),
      ),
    )
  }
  const have = new Map(found.map(({ schema: where, type, acl }) => [`${where} ${type}`, printAcl(acl)]))
  const keys = [...new Set([...want.keys(), ...have.keys()])].toSorted()
  const fields = keys.flatMap((key) => field(`default ${key.trim()}`, want.get(key) ?? '', have.get(key) ?? ''))
  if (found.length === 0) return changeOf(target, { op: 'create' }, [])
  return changeOf(target, { op: 'alter' }, fields)
}

function printAcl(acl: Acl): string {
  return [...acl]
    .map(([name, privileges]) => `${name}=${privileges}`)
    .toSorted()
    .join(' ')
}
