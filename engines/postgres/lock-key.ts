import { createHash } from 'node:crypto'

/** A 64-bit key for pg_advisory_xact_lock. */
export function lockKey(of: string): string {
  return createHash('sha256').update(`tenantry/${of}`).digest().readBigInt64BE().toString()
}
