/** Snapshots without a server: what a shard looks like when everything wanted was made. Imported by tests only. */
import { decodeMark, encodeMark } from '../../mark.ts'
import type { Owner } from '../../model.ts'
import type { Acl } from '../acl.ts'
import { CONTROL_VERSION, tenantIdBody } from '../control.ts'
import { roleFacts } from '../diff/facts.ts'
import { gateFacts } from '../diff/shard.ts'
import { indexOwners } from '../index-owners.ts'
import type { PgResource, RoleSpec } from '../model.ts'
import { gateName } from '../names.ts'
import type {
  DefaultAcl,
  FoundBinding,
  FoundControl,
  FoundRole,
  FoundSchema,
  FoundTenant,
  Membership,
  PgSnapshot,
} from '../snapshot.ts'

const DATABASE = 'shard'
const GATE = gateName(DATABASE)

/** The parts that tests take things from. */
export interface World {
  readonly roles: Map<string, FoundRole>
  readonly schemas: Map<string, FoundSchema>
  readonly defaults: Map<string, readonly DefaultAcl[]>
  readonly ledger: Map<string, ReadonlyMap<string, string>>
  readonly bindings: Map<string, FoundBinding>
  readonly tenants: Map<string, FoundTenant>
  control: FoundControl | undefined
  extensions: Map<string, string>
}

function emptyWorld(): World {
  return {
    roles: new Map(),
    schemas: new Map(),
    defaults: new Map(),
    ledger: new Map(),
    bindings: new Map(),
    tenants: new Map(),
    control: undefined,
    extensions: new Map(),
  }
}

export function snapshotOf(world: World): PgSnapshot {
  const found = {
    ...world,
    server: { version: 160_000, admin: 'postgres', superuser: true, database: DATABASE },
    gate: GATE,
    databaseAcl: acl({ postgres: 'CTc', [GATE]: 'c' }),
    publicAcl: acl({ postgres: 'UC', [GATE]: 'U' }),
    databases: new Map(),
  }
  return { ...found, owned: indexOwners(found) }
}

/** A shard on which all of it was made. */
export function imagineAll(owner: Owner, wanted: readonly PgResource[]): World {
  const world = emptyWorld()
  const isRole = ({ kind }: PgResource): boolean => kind === 'Role' || kind === 'Gate'
  for (const resource of wanted.filter(isRole)) imagine(world, owner, resource)
  for (const resource of wanted.filter((r) => !isRole(r))) imagine(world, owner, resource)
  for (const { kind, spec } of wanted) {
    if (kind === 'Role') for (const group of spec.memberOf) enter(world, group, spec.name)
  }
  return world
}

/** Adds what making the resource would add, but for memberships of roles. */
function imagine(world: World, owner: Owner, resource: PgResource): void {
  const marked = (facts = {}) => {
    const comment = encodeMark(owner, facts)
    return { comment, mark: decodeMark(comment) }
  }
  switch (resource.kind) {
    case 'Role':
      world.roles.set(resource.spec.name, roleFrom(resource.spec, marked(roleFacts(resource.spec, DATABASE, 'hash'))))
      return
    case 'Gate': {
      const gate = { name: GATE, use: 'group', memberOf: [] } as const
      world.roles.set(GATE, roleFrom(gate, marked(gateFacts(DATABASE))))
      return
    }
    case 'Entry':
      for (const member of resource.spec.members) enter(world, GATE, member)
      return
    case 'Extension':
      world.extensions.set(resource.spec.name, 'public')
      return
    case 'Binding':
      world.bindings.set(resource.spec.login, { ...resource.spec, ...marked() })
      return
    case 'TenantRows':
      world.tenants.set(resource.spec.name, { ...resource.spec, ...marked() })
      return
    default:
      imagineSchema(world, resource, marked)
  }
}

type Marked = (facts?: Record<string, string>) => Pick<FoundSchema, 'mark'> & { comment: string }

function imagineSchema(world: World, resource: PgResource, marked: Marked): void {
  switch (resource.kind) {
    case 'Schema': {
      const { schema, owner, rw, ro } = resource.spec
      const access = acl({ [owner]: 'UC', [rw]: 'U', [ro]: 'U' })
      world.schemas.set(schema, { name: schema, owner, acl: access, objects: [], tables: [], ...marked() })
      return
    }
    case 'DefaultPrivileges': {
      const { schema, owner, rw, ro, tables } = resource.spec
      const here = (type: string, both: Record<string, string>): DefaultAcl => ({ schema, type, acl: acl(both) })
      world.defaults.set(owner, [
        { schema: '', type: 'f', acl: acl({ [owner]: 'X' }) },
        ...(tables ? [here('r', { [rw]: 'arwd', [ro]: 'r' })] : []),
        here('S', { [rw]: 'rwU', [ro]: 'r' }),
        here('f', { [rw]: 'X', [ro]: 'X' }),
      ])
      return
    }
    case 'Migration': {
      const { schema, version, checksum } = resource.spec
      world.ledger.set(schema, new Map([...(world.ledger.get(schema) ?? []), [version, checksum]]))
      return
    }
    case 'Reversal': {
      const { schema, version } = resource.spec
      world.ledger.set(schema, new Map([...(world.ledger.get(schema) ?? [])].filter(([of]) => of !== version)))
      return
    }
    case 'ControlSchema':
      world.control = {
        ...marked({ version: CONTROL_VERSION }),
        acl: acl({ postgres: 'UC', [GATE]: 'U' }),
        complete: true,
        tablesClosed: true,
        functionBody: tenantIdBody(resource.spec.trusted),
        functionSafe: true,
        functionAcl: acl({ postgres: 'X', [GATE]: 'X' }),
      }
      return
    default:
  }
}

function roleFrom({ name, login }: RoleSpec, marked: { comment: string; mark: FoundRole['mark'] }): FoundRole {
  return {
    name,
    canLogin: login?.enabled ?? false,
    inherit: true,
    expires: false,
    attributes: { superuser: false, createrole: false, createdb: false, replication: false, bypassrls: false },
    connectionLimit: login?.connectionLimit ?? -1,
    settings: Object.entries(login?.settings ?? {}).map(([key, value]) => `${key}=${value}`),
    localSettings: [],
    sessions: 0,
    memberOf: [],
    members: [],
    verifierHash: login ? 'hash' : '',
    ...marked,
  }
}

/** Recorded on the member's side and the group's; a group of somebody else is not there. */
function enter(world: World, role: string, member: string): void {
  const membership: Membership = { role, member, inherit: true, set: true, bySuperuser: false }
  const [group, one] = [world.roles.get(role), world.roles.get(member)]
  if (group) world.roles.set(role, { ...group, members: [...group.members, membership] })
  if (one) world.roles.set(member, { ...one, memberOf: [...one.memberOf, membership] })
}

function acl(grants: Readonly<Record<string, string>>): Acl {
  return new Map(Object.entries(grants))
}
