import type { PgResource } from '../model.ts'
import { circle } from '../names.ts'
import type { Owned } from '../snapshot.ts'
import { isOurs, type Scene } from './claim.ts'
import { specFromFacts } from './facts.ts'

/**
 * What the owner has and no longer wants, in the order of dropping: logins, what they are bound to, data, groups, owners.
 * Grants, memberships and default privileges go with their roles.
 */
export function drops(scene: Scene, wanted: readonly PgResource[], owned: Owned | undefined): readonly PgResource[] {
  const kept = new Set(wanted.map(({ id }) => id))
  const roles = (owned?.roles ?? []).toSorted().map((name) => roleTarget(scene, name))
  const used = (...uses: readonly string[]): readonly PgResource[] =>
    roles.filter((role) => role.kind === 'Role' && uses.includes(role.spec.use))
  const all = [
    ...used('login'),
    ...(owned?.bindings ?? []).toSorted().map((login) => bindingTarget(scene, login)),
    ...(owned?.tenants ?? []).toSorted().map((name) => rowsTarget(scene, name)),
    ...(owned?.schemas ?? []).toSorted().map(schemaTarget),
    ...(owned?.databases ?? []).toSorted().map(databaseTarget),
    ...used('trusted'),
    ...used('group'),
    ...used('owner'),
    ...shardTargets(scene, roles, kept),
  ]
  return all.filter(({ id }) => !kept.has(id))
}

function roleTarget({ found }: Scene, name: string): PgResource {
  const facts = found.roles.get(name)?.mark?.facts ?? {}
  if (facts.use === 'gate') return { kind: 'Gate', id: `gate/${name}`, spec: { gate: name }, data: false }
  const spec = specFromFacts(name, facts)
  return { kind: 'Role', id: `role/${name}`, spec, data: spec.use === 'owner' }
}

function bindingTarget({ found }: Scene, login: string): PgResource {
  const tenantId = found.bindings.get(login)?.tenantId ?? ''
  return { kind: 'Binding', id: `binding/${login}`, spec: { login, tenantId }, data: false }
}

function rowsTarget({ found }: Scene, name: string): PgResource {
  const { tenantId = '', shared = '' } = found.tenants.get(name) ?? {}
  return { kind: 'TenantRows', id: `rows/${name}`, spec: { name, tenantId, shared }, data: true }
}

function schemaTarget(name: string): PgResource {
  return { kind: 'Schema', id: `schema/${name}`, spec: circle(name), data: true }
}

function databaseTarget(name: string): PgResource {
  const { owner, rw, ro } = circle(name)
  return { kind: 'TenantDatabase', id: `database/${name}`, spec: { name, owner, rw, ro }, data: true }
}

/** The gate's id in a wanted list bears the Database's name, not the role's: there is one a shard. */
function shardTargets(scene: Scene, roles: readonly PgResource[], kept: ReadonlySet<string>): readonly PgResource[] {
  const gateWanted = [...kept].some((id) => id.startsWith('gate/'))
  const gates = gateWanted ? [] : roles.filter(({ kind }) => kind === 'Gate')
  const { control, gate } = scene.found
  if (!control || !isOurs(scene, control.mark)) return gates
  return [
    ...gates,
    { kind: 'ControlSchema', id: 'control/tenantry', spec: { gate, version: '', trusted: '' }, data: true },
  ]
}
