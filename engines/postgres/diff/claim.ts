import { encodeMark, type Mark, sameOwner } from '../../mark.ts'
import type { Blocked, Change, FieldDiff, Owner, Risk } from '../../model.ts'
import type { PgResource } from '../model.ts'
import type { PgSnapshot } from '../snapshot.ts'

export type PgChange = Change<PgResource>

/** What one diff is about. */
export interface Scene {
  readonly owner: Owner
  readonly found: PgSnapshot
}

/** Something found under a name that we want. */
export interface Thing {
  /** For people: `schema "t_acme_1f2e3d4c"`. */
  readonly title: string
  readonly mark: Mark | undefined
}

/** What an owner may do with a thing of the wanted name: change it, take it up again, or keep its hands off. */
export interface Claim {
  readonly op: 'alter' | 'adopt'
  readonly blocked?: Blocked
}

/**
 * An unmarked thing, even one whose mark was removed by hand, is a look-alike: only the adopt annotation gives it to us. A
 * thing of another owner, installation or database never becomes ours.
 */
export function claim({ owner, found }: Scene, { title, mark }: Thing): Claim {
  const who = `${owner.kind} ${owner.namespace}/${owner.name}`
  if (!mark) {
    const message =
      `${title} exists in ${found.server.database} and Tenantry did not make it: rename or drop it, or annotate ` +
      `${who} with tenantry.dev/adopt: "true" to take it over`
    return { op: 'adopt', blocked: { code: 'Conflict', adoptable: true, message } }
  }
  if (!sameOwner(mark, owner)) return taken(`${title} belongs to ${describeOwner(mark)}: ${who} cannot have it`)
  const place = mark.facts.database
  if (place !== undefined && place !== found.server.database) {
    return taken(`${title} serves ${who} in database "${place}" of the same server: one server can hold it only once`)
  }
  return { op: mark.uid === owner.uid ? 'alter' : 'adopt' }
}

function taken(message: string): Claim {
  return { op: 'adopt', blocked: { code: 'Conflict', adoptable: false, message } }
}

function describeOwner({ kind, namespace, name, installation }: Owner): string {
  return `${kind} ${namespace}/${name} of installation ${installation}`
}

/** True for a thing that the owner may change without asking. */
export function isOurs(scene: Scene, mark: Mark | undefined): boolean {
  return mark !== undefined && claim(scene, { title: '', mark }).blocked === undefined
}

/** A change, or none when there is nothing to change. */
export function changeOf(
  target: PgResource,
  { op, blocked }: Claim | { op: 'create'; blocked?: Blocked },
  fields: readonly FieldDiff[],
  risk: Risk = 'safe',
): PgChange | undefined {
  if (op === 'alter' && fields.length === 0) return undefined
  return { op, target, risk, fields, summary: summarise(op, target, fields), ...(blocked && { blocked }) }
}

export function dropOf(target: PgResource): PgChange {
  const risk = target.data ? 'destructive' : 'disruptive'
  return { op: 'drop', target, risk, fields: [], summary: summarise('drop', target, []) }
}

function summarise(op: PgChange['op'], { kind, id }: PgResource, fields: readonly FieldDiff[]): string {
  const what = kind.replaceAll(/(?<=[a-z])([A-Z])/g, ' $1').toLowerCase()
  const name = id.slice(id.indexOf('/') + 1)
  const which = op !== 'create' && fields.length > 0 ? `: ${fields.map(({ field }) => field).join(', ')}` : ''
  return `${op} ${what} ${name}${which}`
}

/** A difference when the values differ; [] when they are equal. */
export function field(name: string, want: string, found: string): readonly FieldDiff[] {
  return want === found ? [] : [{ field: name, want, found }]
}

/** A difference whose values are nobody's business or have no short form. */
export function flag(name: string, differs: boolean): readonly FieldDiff[] {
  return differs ? [{ field: name }] : []
}

/** A difference that lists what should not be there. */
export function surplus(name: string, found: readonly string[]): readonly FieldDiff[] {
  return found.length === 0 ? [] : [{ field: name, want: 'none', found: found.join(', ') }]
}

/** A mark that is ours but not as we would write it now. */
export function markField(scene: Scene, comment: string | undefined, facts: Mark['facts']): readonly FieldDiff[] {
  return flag('mark', comment !== undefined && comment !== encodeMark(scene.owner, facts))
}
