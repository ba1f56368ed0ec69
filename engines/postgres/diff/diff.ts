import type { Blocked, Owner } from '../../model.ts'
import type { Kind, Migration, PgResource, Reversal } from '../model.ts'
import { ownerKey, type PgSnapshot } from '../snapshot.ts'
import { dropOf, type PgChange, type Scene } from './claim.ts'
import { drops } from './drops.ts'
import { diffMigrations, diffReversals } from './migration.ts'
import { diffTenantDatabase } from './own-database.ts'
import { diffRole } from './role.ts'
import { diffBinding, diffSharedTables, diffTenantRows } from './rows.ts'
import { diffDefaults, diffObjectGrants, diffSchema } from './schema.ts'
import { diffControl, diffEntry, diffExtension, diffGate } from './shard.ts'

/** Order of making things; logins come last, so that whoever can log in finds everything else. */
const ORDER: Readonly<Record<Kind, number>> = {
  Gate: 0,
  ControlSchema: 1,
  Extension: 2,
  Role: 3,
  TenantDatabase: 4,
  Schema: 5,
  DefaultPrivileges: 6,
  ObjectGrants: 7,
  SharedTables: 8,
  TenantRows: 9,
  Binding: 10,
  Entry: 12,
  Reversal: 13,
  Migration: 14,
  SchemaObject: 15,
}

/** Pure: what has to be done so that the owner has exactly what is wanted. Costs as much as the owner has, not the shard. */
export function diff(owner: Owner, wanted: readonly PgResource[], found: PgSnapshot): readonly PgChange[] {
  const scene: Scene = { owner, found }
  const ordered = wanted.toSorted((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1))
  const files = ordered.filter((resource): resource is Migration => resource.kind === 'Migration')
  const undone = ordered.filter((resource): resource is Reversal => resource.kind === 'Reversal')
  const changes = ordered.flatMap((resource) => diffOne(scene, resource) ?? [])
  const surplus = drops(scene, wanted, found.owned.get(ownerKey(owner))).map(dropOf)
  return [...surplus, ...holdDependents([...changes, ...diffReversals(scene, undone), ...diffMigrations(scene, files)])]
}

function rank(resource: PgResource): number {
  return resource.kind === 'Role' && resource.spec.use === 'login' ? 11 : ORDER[resource.kind]
}

function diffOne(scene: Scene, resource: PgResource): PgChange | undefined {
  switch (resource.kind) {
    case 'Gate':
      return diffGate(scene, resource)
    case 'ControlSchema':
      return diffControl(scene, resource)
    case 'Extension':
      return diffExtension(scene, resource)
    case 'Role':
      return diffRole(scene, resource)
    case 'Entry':
      return diffEntry(scene, resource)
    case 'TenantDatabase':
      return diffTenantDatabase(scene, resource)
    case 'Schema':
      return diffSchema(scene, resource)
    case 'DefaultPrivileges':
      return diffDefaults(scene, resource)
    case 'ObjectGrants':
      return diffObjectGrants(scene, resource)
    default:
      return diffRow(scene, resource)
  }
}

function diffRow(scene: Scene, resource: PgResource): PgChange | undefined {
  switch (resource.kind) {
    case 'SharedTables':
      return diffSharedTables(scene, resource)
    case 'TenantRows':
      return diffTenantRows(scene, resource)
    case 'Binding':
      return diffBinding(scene, resource)
    default:
      return undefined
  }
}

/** Whatever stands on something that is not ours waits with it: nothing of a look-alike is touched before it is adopted. */
function holdDependents(changes: readonly PgChange[]): readonly PgChange[] {
  const held = new Map<string, Blocked>()
  for (const { target, blocked } of changes) {
    if (blocked?.code === 'Conflict') held.set(madeBy(target), blocked)
  }
  if (held.size === 0) return changes
  return changes.map((change) => {
    if (change.blocked) return change
    const reasons = standsOn(change.target).flatMap((name) => held.get(name) ?? [])
    const blocked = reasons.find(({ adoptable }) => !adoptable) ?? reasons[0]
    return blocked ? { ...change, blocked } : change
  })
}

/** The engine-side thing that a resource makes, with its namespace. */
function madeBy({ kind, spec }: PgResource): string {
  switch (kind) {
    case 'Role':
      return `role ${spec.name}`
    case 'Gate':
      return 'gate'
    case 'Schema':
      return `schema ${spec.schema}`
    case 'TenantDatabase':
      return `database ${spec.name}`
    case 'ControlSchema':
      return 'control'
    default:
      return ''
  }
}

function standsOn({ kind, spec }: PgResource): readonly string[] {
  switch (kind) {
    case 'Role':
      return spec.memberOf.map((name) => `role ${name}`)
    case 'Entry':
      return ['gate', ...spec.members.map((name) => `role ${name}`)]
    case 'TenantDatabase':
      return [spec.owner, spec.rw, spec.ro].map((name) => `role ${name}`)
    case 'Schema':
    case 'DefaultPrivileges':
    case 'ObjectGrants':
    case 'SharedTables':
    case 'Migration':
    case 'Reversal':
    case 'SchemaObject':
      return [
        `schema ${spec.schema}`,
        `database ${spec.place}`,
        ...[spec.owner, spec.rw, spec.ro].map((name) => `role ${name}`),
      ]
    case 'ControlSchema':
      return ['gate']
    case 'Binding':
    case 'TenantRows':
      return ['control']
    default:
      return []
  }
}
