import { encodeMark, type Mark, sameOwner } from '../mark.ts'
import type { Blocked, Owner } from '../model.ts'

/** The fact in a database's mark which says that we made it: it was empty then, and whatever is in it came later. */
const MADE = { origin: 'made' }

export function isMade(mark: Mark | undefined): boolean {
  return mark?.facts.origin === MADE.origin
}

/** The mark of a database that is made now. */
export function newDatabaseMark(owner: Owner): string {
  return encodeMark(owner, MADE)
}

/** The mark that a database is to bear that bears `found` now. */
export function databaseMark(owner: Owner, found: Mark | undefined): string {
  return encodeMark(owner, isMade(found) ? MADE : {})
}

/** How something found relates to the owner who wants it. */
export type Standing = 'absent' | 'ours' | 'reborn' | 'unmarked' | 'foreign'

export function standing(owner: Owner, exists: boolean, mark: Mark | undefined): Standing {
  if (mark && !sameOwner(mark, owner)) return 'foreign'
  if (!exists) return 'absent'
  if (!mark) return 'unmarked'
  return mark.uid === owner.uid ? 'ours' : 'reborn'
}

/** Why something that is there must not be touched; undefined where it may. */
export function obstacle(what: string, found: Standing, mark: Mark | undefined): Blocked | undefined {
  if (found === 'unmarked') {
    const message = `${what} exists and bears no mark of Tenantry: adopt it by annotation, or rename or drop it`
    return { code: 'Conflict', message, adoptable: true }
  }
  if (found !== 'foreign' || !mark) return undefined
  const whose = `${mark.kind} ${mark.namespace}/${mark.name} of installation ${mark.installation}`
  return { code: 'Conflict', message: `${what} belongs to ${whose}: remove it there first`, adoptable: false }
}
