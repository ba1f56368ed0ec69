import { hash, randomBytes } from 'node:crypto'

/** A fresh password: 256 random bits, URL-safe ASCII, so that it fits a URI and needs no SASLprep. */
export function newPassword(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * Tells whether a login already has this password, without keeping it: kept in the ownership mark. The password has 256
 * random bits, so 64 bits of a hash reveal nothing that could be searched for.
 */
export function fingerprint(login: string, password: string): string {
  return hash('sha256', `tenantry/credential\0${login}\0${password}`, 'hex').slice(0, 16)
}
