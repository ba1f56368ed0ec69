import { createHash } from 'node:crypto'
import { AppError } from '@tenantry/crds/errors.ts'

/** One dimension of a shard's load. `request` is what the new tenant adds; an undefined capacity does not limit. */
export interface Load {
  readonly used: number
  readonly request: number
  readonly capacity: number | undefined
}

/** A shard as placement sees it. */
export interface Candidate {
  readonly name: string
  /** Why no new tenant may go there, as the end of "s0 is …"; undefined when one may. `waiting`: this may pass by itself. */
  readonly closed?: { readonly because: string; readonly waiting: boolean }
  readonly tenants: number
  readonly loads: readonly Load[]
}

/**
 * Chooses the shard of a new tenant: the one whose fullest dimension is emptiest, then the one with fewest tenants, then by
 * rendezvous hash so that the choice does not depend on the order of the list. Pure; the result is stored and never
 * computed again. Throws `NoCapacity`, or `DatabaseNotReady` when waiting may help.
 */
export function place(database: string, tenant: string, candidates: readonly Candidate[]): string {
  const open = candidates.filter((candidate) => !candidate.closed && fill(candidate) <= 1)
  const [best] = open.toSorted(
    (a, b) => fill(a) - fill(b) || a.tenants - b.tenants || weight(tenant, b.name) - weight(tenant, a.name),
  )
  if (best) return best.name
  throw noRoom(database, tenant, candidates)
}

function noRoom(database: string, tenant: string, candidates: readonly Candidate[]): AppError {
  const shards = candidates.map(({ name, closed }) => `${name} is ${closed?.because ?? 'full'}`).join(', ')
  const doing = `place ${tenant} on Database ${database}`
  if (candidates.some(({ closed }) => closed?.waiting)) {
    return new AppError(
      'DatabaseNotReady',
      `${doing}: no active shard is ready (${shards}); it is tried again when one is`,
    )
  }
  return new AppError(
    'NoCapacity',
    `${doing}: no active shard has room (${shards || 'it has none'}). Raise a shard's capacity, un-cordon one, or raise spec.replicas after adding a shard`,
  )
}

/** Dominant share with the new tenant on board: the dimension nearest to its limit decides. Above 1 does not fit. */
function fill({ loads }: Candidate): number {
  return Math.max(0, ...loads.map(({ used, request, capacity }) => (capacity ? (used + request) / capacity : 0)))
}

function weight(tenant: string, shard: string): number {
  return createHash('sha256').update(`${tenant}\0${shard}`).digest().readUInt32BE(0)
}
