import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { AppError } from '@tenantry/crds/errors.ts'

const ITERATIONS = 4096
const VERIFIER = /^SCRAM-SHA-256\$\d+:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/
const derive = promisify(pbkdf2)

/**
 * What Postgres stores for a password, so that the password itself is never sent. Only printable ASCII is taken: SASLprep
 * leaves it as it is. Derived off the main thread.
 */
export async function scramVerifier(password: string): Promise<string> {
  if (!/^[\x20-\x7e]+$/.test(password)) {
    throw new AppError('SecretInvalid', 'make a SCRAM verifier: the password must be printable ASCII')
  }
  const salt = randomBytes(16)
  const salted = await derive(password, salt, ITERATIONS, 32, 'sha256')
  const mac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(mac('Client Key')).digest('base64')
  return checked(
    `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${mac('Server Key').toString('base64')}`,
  )
}

/** Postgres takes a malformed verifier for a plain password, without a word. */
function checked(verifier: string): string {
  if (VERIFIER.test(verifier)) return verifier
  throw new AppError('Internal', 'make a SCRAM verifier: the result is malformed')
}

/** Kept in the login's mark, to see a password that was changed by hand. */
export function verifierHash(verifier: string): string {
  return createHash('sha256').update(verifier).digest('hex')
}
