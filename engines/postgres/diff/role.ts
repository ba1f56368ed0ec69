import { decodeMark, sameOwner } from '../../mark.ts'
import type { FieldDiff } from '../../model.ts'
import type { LoginSpec, RoleResource, RoleSpec } from '../model.ts'
import type { Attribute, FoundRole, Membership } from '../snapshot.ts'
import { changeOf, claim, field, flag, markField, type PgChange, type Scene, surplus } from './claim.ts'
import { roleFacts } from './facts.ts'

const ATTRIBUTES: readonly Attribute[] = ['superuser', 'createrole', 'createdb', 'replication', 'bypassrls']

export function diffRole(scene: Scene, target: RoleResource): PgChange | undefined {
  const { spec } = target
  const found = scene.found.roles.get(spec.name)
  if (!found) return changeOf(target, { op: 'create' }, [])
  const claimed = claim(scene, { title: `role "${spec.name}"`, mark: found.mark })
  const ending = spec.login?.enabled === false && (found.canLogin || found.sessions > 0)
  return changeOf(
    keepVerifier(target, found),
    claimed,
    [
      ...attributes(spec, found),
      ...settings(spec, found),
      ...memberships(scene, spec, found),
      ...mark(scene, spec, found),
    ],
    ending ? 'disruptive' : 'safe',
  )
}

function attributes({ login }: RoleSpec, found: FoundRole): readonly FieldDiff[] {
  const limit = (count: number): string => (count < 0 ? 'none' : String(count))
  return [
    ...ATTRIBUTES.flatMap((name) => field(name, 'no', yesNo(found.attributes[name]))),
    ...field('inherit', 'yes', yesNo(found.inherit)),
    ...field('login', yesNo(login?.enabled ?? false), yesNo(found.canLogin)),
    ...field('connection limit', limit(login?.connectionLimit ?? -1), limit(found.connectionLimit)),
    ...flag('expiry', found.expires),
    ...flag('sessions', login?.enabled === false && found.sessions > 0),
    ...flag('password', passwordDiffers(login, found)),
  ]
}

/** By the mark where the stored verifier cannot be read, and by the verifier too where it can. */
function passwordDiffers(login: LoginSpec | undefined, { mark, verifierHash }: FoundRole): boolean {
  if (!login) return verifierHash !== undefined && verifierHash !== ''
  if (mark?.facts.credential !== login.fingerprint || mark.facts.verifier === undefined) return true
  return verifierHash !== undefined && verifierHash !== mark.facts.verifier
}

function settings({ login }: RoleSpec, found: FoundRole): readonly FieldDiff[] {
  const wanted = Object.entries(login?.settings ?? {}).map(([name, value]) => `${name}=${value}`)
  return [
    ...field('settings', wanted.toSorted().join('; '), found.settings.toSorted().join('; ')),
    ...surplus('database settings', found.localSettings.toSorted()),
  ]
}

function memberships(scene: Scene, spec: RoleSpec, found: FoundRole): readonly FieldDiff[] {
  const { gate } = scene.found
  const parents = new Set(found.memberOf.filter(isUsable).map(({ role }) => role))
  const all = new Set(found.memberOf.map(({ role }) => role).filter((role) => role !== gate))
  const strange = found.members.filter((m) => isStrange(scene, spec, m)).map(({ member }) => member)
  return [
    ...field(
      'member of',
      spec.memberOf.toSorted().join(', '),
      [...all]
        .toSorted()
        .map((role) => (parents.has(role) ? role : `${role} without its rights`))
        .join(', '),
    ),
    ...surplus('members', [...new Set(strange)].toSorted()),
    ...flag('administrator', needsAdministrator(spec) && !hasAdministrator(scene, found)),
  ]
}

function isUsable({ inherit }: Membership): boolean {
  return inherit
}

/** The trusted role is there to be granted by people; anything else has members of ours only, and administrators. */
function isStrange({ owner, found }: Scene, { use }: RoleSpec, { member, bySuperuser }: Membership): boolean {
  if (use === 'trusted' || bySuperuser || member === found.server.admin) return false
  const mark = found.roles.get(member)?.mark
  if (!mark) return true
  return owner.kind === 'Tenant' && !sameOwner(mark, owner)
}

function needsAdministrator({ use }: RoleSpec): boolean {
  return use === 'owner' || use === 'trusted'
}

/** Who is no superuser acts for the owner by a membership. */
function hasAdministrator({ found }: Scene, { members }: FoundRole): boolean {
  const { superuser, admin } = found.server
  return superuser || members.some(({ member, inherit, set }) => member === admin && inherit && set)
}

function mark(scene: Scene, spec: RoleSpec, found: FoundRole): readonly FieldDiff[] {
  const old = decodeMark(found.comment)?.facts ?? {}
  return markField(scene, found.comment, roleFacts(spec, scene.found.server.database, old.verifier))
}

/** A change that leaves the password alone must write its hash into the mark again. */
function keepVerifier(target: RoleResource, { mark: old }: FoundRole): RoleResource {
  const { login } = target.spec
  const verifier = old?.facts.verifier
  if (!login || verifier === undefined) return target
  return { ...target, spec: { ...target.spec, login: { ...login, verifier } } }
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}
