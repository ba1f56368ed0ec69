import type { FieldDiff } from '../../model.ts'
import { CONTROL_VERSION, tenantIdBody } from '../control.ts'
import type { ControlSchema, Entry, Extension, Gate } from '../model.ts'
import type { FoundControl, FoundRole } from '../snapshot.ts'
import { changeOf, claim, field, flag, markField, type PgChange, type Scene, surplus } from './claim.ts'
import { grants } from './schema.ts'

/** Facts in the gate's mark. */
export function gateFacts(database: string): Readonly<Record<string, string>> {
  return { database, use: 'gate' }
}

export function diffGate(scene: Scene, wanted: Gate): PgChange | undefined {
  const { gate, roles, server, databaseAcl, publicAcl } = scene.found
  const target: Gate = { ...wanted, spec: { gate } }
  const found = roles.get(gate)
  const access: readonly FieldDiff[] = [
    ...flag('connect', databaseAcl.get(gate) !== 'c'),
    ...flag('database open to PUBLIC', databaseAcl.has('')),
    ...flag('usage of public', publicAcl?.get(gate) !== 'U'),
    ...flag('public open to PUBLIC', publicAcl?.has('') ?? false),
  ]
  if (!found) return changeOf(target, { op: 'create' }, [])
  return changeOf(target, claim(scene, { title: `role "${gate}"`, mark: found.mark }), [
    ...gateAttributes(found),
    ...strangers(scene, found),
    ...access,
    ...markField(scene, found.comment, gateFacts(server.database)),
  ])
}

function gateAttributes({ attributes, canLogin, memberOf }: FoundRole): readonly FieldDiff[] {
  const raised = Object.entries(attributes).flatMap(([name, value]) => (value ? [name] : []))
  return [
    ...surplus('attributes', [...raised, ...(canLogin ? ['login'] : [])]),
    ...surplus('member of', memberOf.map(({ role }) => role).toSorted()),
  ]
}

function strangers({ found }: Scene, { members }: FoundRole): readonly FieldDiff[] {
  const strange = members.filter(
    ({ member, bySuperuser }) => !bySuperuser && member !== found.server.admin && !found.roles.get(member)?.mark,
  )
  return surplus('members', [...new Set(strange.map(({ member }) => member))].toSorted())
}

export function diffControl(scene: Scene, wanted: ControlSchema): PgChange | undefined {
  const { control, gate } = scene.found
  const target: ControlSchema = { ...wanted, spec: { ...wanted.spec, gate } }
  if (!control) return changeOf(target, { op: 'create' }, [])
  return changeOf(
    target,
    claim(scene, { title: 'schema "tenantry"', mark: control.mark }),
    controlFields(scene, target, control),
  )
}

function controlFields(scene: Scene, { spec }: ControlSchema, control: FoundControl): readonly FieldDiff[] {
  const { admin } = scene.found.server
  return [
    ...field('version', CONTROL_VERSION, control.mark?.facts.version ?? 'none'),
    ...flag('tables', !control.complete || !control.tablesClosed),
    ...flag('function', control.functionBody !== tenantIdBody(spec.trusted) || !control.functionSafe),
    ...flag('function grants', control.functionAcl.get(spec.gate) !== 'X' || control.functionAcl.has('')),
    ...grants(scene, control.acl, { owners: [admin], wanted: { [spec.gate]: 'U' } }),
    ...markField(scene, control.comment, { version: CONTROL_VERSION }),
  ]
}

export function diffExtension({ found }: Scene, target: Extension): PgChange | undefined {
  return found.extensions.has(target.spec.name) ? undefined : changeOf(target, { op: 'create' }, [])
}

export function diffEntry({ found }: Scene, wanted: Entry): PgChange | undefined {
  const { gate } = found
  const target: Entry = { ...wanted, spec: { ...wanted.spec, gate } }
  const outside = target.spec.members.filter(
    (name) => !found.roles.get(name)?.memberOf.some(({ role, inherit }) => role === gate && inherit),
  )
  if (outside.length === 0) return undefined
  return changeOf(target, { op: 'alter' }, [{ field: 'passes the gate', want: outside.join(', ') }])
}
