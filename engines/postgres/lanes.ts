import type { PgChange } from './diff/claim.ts'
import type { Kind } from './model.ts'

/** Changes that share a transaction, or one that cannot. `place`: the tenant's own database. */
export interface Lane {
  readonly place: string | undefined
  readonly changes: readonly PgChange[]
  readonly alone: boolean
}

/** Each has a transaction of its own, or more than one. So has the deletion of rows, which calls triggers that may change settings. */
const ALONE: readonly Kind[] = ['Migration', 'Reversal', 'TenantDatabase']

/** Neighbouring changes of one database share a lane; a SQL file, and what cannot run in a transaction, has one for itself. */
export function lanesOf(changes: readonly PgChange[]): readonly Lane[] {
  const result: { place: string | undefined; changes: PgChange[]; alone: boolean }[] = []
  for (const change of changes) {
    const { target } = change
    const alone = ALONE.includes(target.kind) || (change.op === 'drop' && target.kind === 'TenantRows')
    const place = placeOf(change)
    const last = result.at(-1)
    if (last && !alone && !last.alone && last.place === place) last.changes.push(change)
    else result.push({ place, changes: [change], alone })
  }
  return result
}

/** Roles are the server's; only when they are dropped, the database where their rights are matters. */
function placeOf({ op, target }: PgChange): string | undefined {
  if (target.kind === 'Role' && op !== 'drop') return undefined
  return 'place' in target.spec ? target.spec.place : undefined
}
