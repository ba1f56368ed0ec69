import { encodeMark } from '../mark.ts'
import type { Change, FieldDiff, Owner, Risk } from '../model.ts'
import { obstacle, standing } from './ownership.ts'
import type { ChResource } from './resources.ts'
import type { FoundEntry } from './snapshot.ts'

export type ChChange = Change<ChResource>

export interface Comparison<R extends ChResource> {
  readonly owner: Owner
  readonly target: R
  /** Names the thing in summaries: "role t_acme_1f2e3d4c_role". */
  readonly what: string
  readonly exists: boolean
  readonly entry: FoundEntry | undefined
  readonly fields: readonly FieldDiff[]
  readonly facts?: Readonly<Record<string, string>>
  readonly risk?: Risk
  readonly verb?: string
}

/** Compares a thing whose owner stands in the registry. */
export function compareEntry<R extends ChResource>(c: Comparison<R>): ChChange | undefined {
  const { owner, target, what, exists, entry, risk = 'safe' } = c
  const state = standing(owner, exists, entry?.mark)
  if (state === 'absent') return { op: 'create', target, risk, fields: [], summary: `${c.verb ?? 'create'} ${what}` }
  const marked = entry?.rawMark === encodeMark(owner, c.facts)
  if (state === 'ours') {
    if (marked && c.fields.length === 0) return undefined
    return { op: 'alter', target, risk, fields: c.fields, summary: `alter ${what}` }
  }
  const blocked = obstacle(what, state, entry?.mark)
  return { op: 'adopt', target, risk, fields: c.fields, summary: `adopt ${what}`, ...(blocked && { blocked }) }
}
