import { createHash } from 'node:crypto'
import type { LoginInput } from '../model.ts'
import type { Circle } from './model.ts'

/** The schema that holds registry and ledger on every shard, and in every database of a tenant's own. */
export const CONTROL = 'tenantry'

const ROLE_SUFFIXES = ['owner', 'rw', 'ro', 'app_a', 'app_b', 'ro_a', 'ro_b', 'trusted'] as const

/** Matches base names of names.ts, for queries over the whole shard. */
export const BASE_PATTERN = '^[td]_[a-z0-9_]+_[0-9a-f]{8}$'

/** Matches every role name that Tenantry may want on a shard, the gate aside. */
export const ROLE_PATTERN = `^[td]_[a-z0-9_]+_[0-9a-f]{8}_(${ROLE_SUFFIXES.join('|')})$`

/** Every role name that may belong to a base name. */
export function roleNames(base: string): readonly string[] {
  return ROLE_SUFFIXES.map((suffix) => `${base}_${suffix}`)
}

export function circle(base: string, place?: string): Circle {
  return {
    schema: base,
    owner: `${base}_owner`,
    rw: `${base}_rw`,
    ro: `${base}_ro`,
    ...(place !== undefined && { place }),
  }
}

/** The application role that may switch tenants in a shared schema. */
export function trustedRole(shared: string): string {
  return `${shared}_trusted`
}

/** Engine-side name of a tenant's login: at most 57 of Postgres' 63 characters. */
export function loginName(name: string, access: LoginInput['access']): string {
  return access === 'ReadWrite' ? `${name}_app_a` : `${name}_ro_a`
}

/** The group that may connect to a database of the server. */
export function gateName(database: string): string {
  return `tenantry_gate_${createHash('sha256').update(database).digest('hex').slice(0, 8)}`
}
