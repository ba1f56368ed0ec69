import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'

/** `code` of the error that says that no Postgres server answers. */
export const WRONG_ENGINE = 'WRONG_ENGINE'

/** SQLSTATE of our own: a later epoch writes to the server. */
export const FENCED = 'TN001'

/** SQLSTATEs that have a meaning of their own; the rest are StatementFailed. Two characters stand for a whole class. */
const STATES: Readonly<Record<string, ErrorCode>> = {
  '08': 'Unreachable',
  '0A000': 'Unsupported',
  '25006': 'ServerReadOnly',
  '28': 'AuthenticationFailed',
  '3D000': 'SecretInvalid',
  '40': 'LockTimeout',
  '42501': 'PermissionDenied',
  '53100': 'OutOfSpace',
  '53200': 'OutOfSpace',
  '53300': 'TooManyConnections',
  '55P03': 'LockTimeout',
  '57014': 'Timeout',
  '57P01': 'Unreachable',
  '57P02': 'Unreachable',
  '57P03': 'Unreachable',
  [FENCED]: 'Fenced',
  '58P01': 'Unsupported',
}

const SYSTEM: Readonly<Record<string, ErrorCode>> = { ETIMEDOUT: 'Timeout', [WRONG_ENGINE]: 'WrongEngine' }

const ADVICE: Partial<Record<ErrorCode, string>> = {
  AuthenticationFailed: 'Check username and password in the connection Secret.',
  SecretInvalid: 'Create the database, or name another in the connection Secret.',
  PermissionDenied:
    'Grant it to the administrative user of the connection Secret, which needs CREATEROLE and to own the database.',
  WrongEngine: 'Point the connection Secret to a PostgreSQL server.',
  Timeout: 'Check host, port and tls in the connection Secret, and the load of the server.',
  Unreachable: 'Check host, port and tls in the connection Secret, and that the server runs.',
  TooManyConnections: 'Raise max_connections or lower the connections of tenants.',
  ServerReadOnly: 'Point the connection Secret to the primary.',
  OutOfSpace: 'Give the server more room.',
  Fenced: 'The process that leads now does the work.',
}

/** The driver's own errors carry no code. */
const TIMEOUTS = /timeout exceeded|timeout expired|connection timeout|read timeout/i
const BROKEN =
  /connection terminated|SSL connection|connection ended|client was closed|does not support SSL|certificate|socket|handshake|alert/i

/** Turns anything that pg or Node throws into an AppError. `doing` starts the message; neither holds a secret. */
export function toAppError(error: unknown, doing: string): AppError {
  if (error instanceof AppError) return error
  const code = codeOf(error)
  const advice = ADVICE[code]
  return new AppError(code, `${doing}: ${describe(error)}${advice ? `. ${advice}` : ''}`, error)
}

/** The five characters of a server's error, if it is one. */
export function sqlState(error: unknown): string | undefined {
  const code = property(error, 'code')
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && property(error, 'severity') !== undefined
    ? code
    : undefined
}

/** What an error means, without its message. */
export function codeOf(error: unknown): ErrorCode {
  const state = sqlState(error)
  if (state !== undefined) return STATES[state] ?? STATES[state.slice(0, 2)] ?? 'StatementFailed'
  if (isTimeout(error)) return 'Timeout'
  const code = property(error, 'code')
  if (code !== undefined) return SYSTEM[code] ?? 'Unreachable'
  return BROKEN.test(message(error)) ? 'Unreachable' : 'Internal'
}

function isTimeout(error: unknown): boolean {
  return (error instanceof DOMException && /Abort|Timeout/.test(error.name)) || TIMEOUTS.test(message(error))
}

function describe(error: unknown): string {
  const state = sqlState(error)
  const detail = property(error, 'detail')
  return [message(error), state && `(SQLSTATE ${state})`, detail].filter(Boolean).join(' ').replace(/\.$/, '')
}

function message(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(message).join('; ')
  return error instanceof Error ? error.message : String(error)
}

function property(error: unknown, key: string): string | undefined {
  const value = typeof error === 'object' && error !== null ? Reflect.get(error, key) : undefined
  return typeof value === 'string' ? value : undefined
}
