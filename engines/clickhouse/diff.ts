import { decodeMark } from '../mark.ts'
import type { Blocked, Owner, Risk } from '../model.ts'
import { type ChChange, compareEntry } from './compare.ts'
import { diffGuard, diffProfile, diffQuota, diffRole, diffUser } from './diff-access.ts'
import { diffFiles, diffReversals } from './diff-files.ts'
import { databaseMark, obstacle, standing } from './ownership.ts'
import { type ChResource, isAccess, type Kind, type Of, placeOf, rowsDetail } from './resources.ts'
import { type ChSnapshot, type FoundEntry, ownerKey } from './snapshot.ts'

/** Things are made in this order and dropped in the opposite one. */
const ORDER: readonly Kind[] = ['database', 'reversal', 'file', 'guard', 'rows', 'role', 'profile', 'quota', 'user']

/** See `Engine.diff`. Where the server keeps no users, everything about users is left out. */
export function diff(owner: Owner, wanted: readonly ChResource[], found: ChSnapshot): readonly ChChange[] {
  const possible = wanted.filter((r) => found.noAccessControl === undefined || !isAccess(r))
  const changes: ChChange[] = []
  for (const kind of ORDER) {
    const ofKind = possible.filter((r) => r.kind === kind).toSorted((a, b) => (a.id < b.id ? -1 : 1))
    changes.push(...diffKind(owner, ofKind, found, changes))
  }
  return [...blockDependents(changes), ...drops(owner, wanted, found)]
}

function diffKind(
  owner: Owner,
  wanted: readonly ChResource[],
  found: ChSnapshot,
  before: readonly ChChange[],
): readonly ChChange[] {
  const files = Map.groupBy(
    wanted.filter((r) => r.kind === 'file'),
    (r) => r.spec.base,
  )
  const reversals = wanted.filter((r) => r.kind === 'reversal')
  if (reversals.length > 0) return diffReversals(reversals, found)
  if (files.size > 0) return [...files.values()].flatMap((ofBase) => diffFiles(ofBase, found))
  return wanted.flatMap((resource) => diffOne(owner, resource, found, before) ?? [])
}

function diffOne(
  owner: Owner,
  resource: ChResource,
  found: ChSnapshot,
  before: readonly ChChange[],
): ChChange | undefined {
  switch (resource.kind) {
    case 'database':
      return diffDatabase(owner, resource, found)
    case 'rows':
      return diffRows(owner, resource, found)
    case 'guard':
      return diffGuard(
        owner,
        resource,
        found,
        before.some((c) => c.target.kind === 'file' && !c.blocked),
      )
    case 'role':
      return diffRole(owner, resource, found)
    case 'profile':
      return diffProfile(owner, resource, found)
    case 'quota':
      return diffQuota(owner, resource, found)
    case 'user':
      return diffUser(owner, resource, found)
    case 'reversal':
    case 'file':
      return undefined
  }
}

/** What the owner of a conflicting object may not touch, it may not build upon either. */
function blockDependents(changes: readonly ChChange[]): readonly ChChange[] {
  let blocked: Blocked | undefined
  return changes.map((change) => {
    if (change.blocked?.code === 'Conflict') blocked ??= change.blocked
    return blocked && !change.blocked ? { ...change, blocked } : change
  })
}

function diffDatabase(owner: Owner, target: Of<'database'>, found: ChSnapshot): ChChange | undefined {
  const there = found.databases.get(target.spec.base)
  const mark = decodeMark(there?.comment)
  const what = `database ${target.spec.base}`
  const state = standing(owner, there !== undefined, mark)
  if (state === 'absent') return { op: 'create', target, risk: 'safe', fields: [], summary: `create ${what}` }
  const want = databaseMark(owner, mark)
  if (state === 'ours' && there?.comment === want) return undefined
  const fields = [{ field: 'comment', want, ...(there && { found: there.comment }) }]
  if (state === 'ours') return { op: 'alter', target, risk: 'safe', fields, summary: `mark ${what} again` }
  const blocked = obstacle(what, state, mark)
  return { op: 'adopt', target, risk: 'safe', fields, summary: `adopt ${what}`, ...(blocked && { blocked }) }
}

function diffRows(owner: Owner, target: Of<'rows'>, found: ChSnapshot): ChChange | undefined {
  const { base, shared, tenantId } = target.spec
  const entry = found.registry.get(target.id)
  const want = rowsDetail(target)
  const fields = entry && entry.detail !== want ? [{ field: 'place', want, found: entry.detail }] : []
  const what = `rows of ${tenantId} in ${shared}`
  return compareEntry({ owner, target, what, exists: entry !== undefined, entry, fields, verb: `register ${base} for` })
}

/**
 * What is the owner's and not wanted. The owner may have a place in another Database on the same server: of names that
 * are not its own here it only hears when it wants nothing at all, and then the snapshot's scope says what is meant.
 */
function drops(owner: Owner, wanted: readonly ChResource[], found: ChSnapshot): readonly ChChange[] {
  const ids = new Set(wanted.map((r) => r.id))
  const bases = new Set(wanted.map((r) => r.spec.base))
  const owned = found.owned.get(ownerKey(owner))
  if (!owned) return []
  const databases = owned.databases.map(
    ({ name }): ChResource => ({
      kind: 'database',
      id: `database/${name}`,
      data: true,
      spec: { base: name },
    }),
  )
  const entries = owned.entries.flatMap((entry) => resourceOf(entry, found) ?? [])
  return [...databases, ...entries]
    .filter((r) => !ids.has(r.id) && (bases.size === 0 || bases.has(r.spec.base)))
    .filter((r) => found.noAccessControl === undefined || !isAccess(r))
    .toSorted((a, b) => ORDER.indexOf(b.kind) - ORDER.indexOf(a.kind) || (a.id < b.id ? -1 : 1))
    .map(drop)
}

const DROP_RISK: Partial<Readonly<Record<Kind, Risk>>> = { database: 'destructive', rows: 'destructive' }

function drop(target: ChResource): ChChange {
  const risk = DROP_RISK[target.kind] ?? 'disruptive'
  return { op: 'drop', target, risk, fields: [], summary: `drop ${describe(target)}` }
}

function describe(target: ChResource): string {
  if (target.kind === 'rows') return `rows of ${target.spec.tenantId} in ${target.spec.shared}`
  return target.id.replace('/', ' ')
}

/** What a registry row stands for, with as much of its spec as a drop needs. */
function resourceOf({ id, base, detail }: FoundEntry, found: ChSnapshot): ChResource | undefined {
  const [kind, name] = [id.slice(0, id.indexOf('/')), id.slice(id.indexOf('/') + 1)]
  switch (kind) {
    case 'rows':
      return { kind, id, data: true, spec: { base, ...placeOf(detail) } }
    case 'guard':
      return { kind, id, data: true, spec: { base } }
    case 'role': {
      const left = found.access.policies.get(base) ?? []
      const reach = { kind: 'database', database: base } as const
      return { kind, id, data: false, spec: { base, name, reach, members: [], leftPolicies: left } }
    }
    case 'profile':
      return { kind, id, data: false, spec: { base, role: '', settings: {} } }
    case 'quota':
      return { kind, id, data: false, spec: { base, role: '', queriesPerHour: 0 } }
    case 'user': {
      const spec = {
        base,
        login: name,
        access: 'ReadOnly',
        fingerprint: '',
        suspended: true,
        role: '',
        grants: [],
      } as const
      return { kind, id, data: false, spec }
    }
    default:
      return undefined
  }
}
