import { ClickHouseError } from '@clickhouse/client'
import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'

/** By ClickHouse's numeric code. What is not here is `StatementFailed`. */
const BY_CODE: Readonly<Record<string, ErrorCode>> = {
  '48': 'Unsupported',
  '159': 'Timeout',
  '160': 'Timeout',
  '164': 'PermissionDenied',
  '192': 'AuthenticationFailed',
  '193': 'AuthenticationFailed',
  '194': 'AuthenticationFailed',
  '202': 'TooManyConnections',
  '203': 'TooManyConnections',
  '209': 'Timeout',
  '210': 'Unreachable',
  '241': 'OutOfSpace',
  '242': 'ServerReadOnly',
  '243': 'OutOfSpace',
  '252': 'OutOfSpace',
  '473': 'LockTimeout',
  '495': 'PermissionDenied',
  '497': 'PermissionDenied',
  '514': 'Unsupported',
  '516': 'AuthenticationFailed',
  '722': 'ServerReadOnly',
}

const BY_SYSTEM_CODE: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: 'Unreachable',
  ECONNRESET: 'Unreachable',
  EPIPE: 'Unreachable',
  ENOTFOUND: 'Unreachable',
  EAI_AGAIN: 'Unreachable',
  EHOSTUNREACH: 'Unreachable',
  ENETUNREACH: 'Unreachable',
  ETIMEDOUT: 'Timeout',
}

/** What to do, for the codes where that is the same whatever was tried. */
const ADVICE: Partial<Readonly<Record<ErrorCode, string>>> = {
  AuthenticationFailed: 'check username and password in the connection Secret',
  PermissionDenied: 'grant the missing privilege to the administrative user',
  Unreachable: "check the shard's host, port and TLS settings and that the server runs",
  Timeout: 'check that host and port are right and that the server is not overloaded',
  TooManyConnections: 'raise max_concurrent_queries or max_connections, or lower the load',
  OutOfSpace: 'give the server more disk or memory',
  ServerReadOnly: 'make the server accept writes again',
  WrongEngine: 'point the shard at the HTTP port of a ClickHouse server (8123, or 8443 with TLS)',
}

/** Codes that mean that a database or a table does not exist (yet). */
const MISSING: ReadonlySet<string> = new Set(['60', '81'])

/** ClickHouse's numeric code as text, or undefined when the error is not the server's. */
export function serverCode(error: unknown): string | undefined {
  if (error instanceof AppError) return serverCode(error.cause)
  return error instanceof ClickHouseError ? error.code : undefined
}

/** A database of that name exists. */
export function isTaken(error: unknown): boolean {
  return serverCode(error) === '82'
}

/** `throwIf` of the statement itself said no. */
export function isRefusedByItself(error: unknown): boolean {
  return serverCode(error) === '395'
}

export function isMissing(error: unknown): boolean {
  return MISSING.has(serverCode(error) ?? '')
}

/** A table has no column of that name. */
export function isUnknownColumn(error: unknown): boolean {
  return serverCode(error) === '47'
}

/** Maps anything that the driver throws. `doing` starts the message: "create database t_acme_1f2e3d4c". */
export function toAppError(error: unknown, doing: string): AppError {
  if (error instanceof AppError) return error
  const code = codeOf(error)
  const advice = ADVICE[code]
  return new AppError(code, `${doing}: ${describe(error)}${advice ? `; ${advice}` : ''}`, redacted(error))
}

/** The cause is logged as well, so it must be as clean as the message. */
function redacted(error: unknown): unknown {
  if (!(error instanceof ClickHouseError)) return error
  const { code, type, message } = error
  return new ClickHouseError({ code, message: redact(message), ...(type !== undefined && { type }) })
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof ClickHouseError) return BY_CODE[error.code] ?? 'StatementFailed'
  if (!(error instanceof Error)) return 'Internal'
  const system = String((error as NodeJS.ErrnoException).code ?? '')
  if (system.startsWith('HPE_')) return 'WrongEngine'
  if (system.includes('CERT') || system.includes('TLS') || system.includes('SSL')) return 'Unreachable'
  if (/timeout/i.test(error.message)) return 'Timeout'
  return BY_SYSTEM_CODE[system] ?? (system ? 'Unreachable' : 'WrongEngine')
}

function describe(error: unknown): string {
  if (error instanceof ClickHouseError) return redact(`${error.type ?? 'error'} (code ${error.code}): ${error.message}`)
  if (!(error instanceof Error)) return 'something that is not an error was thrown'
  const { code } = error as NodeJS.ErrnoException
  if (!code && !/timeout/i.test(error.message)) return 'the answer is not that of a ClickHouse server'
  return redact(code && !error.message.includes(code) ? `${error.message} (${code})` : error.message)
}

/** Syntax errors quote the statement: no hash of a password may come with them. */
function redact(message: string): string {
  return message.replace(/\b[0-9a-f]{32,}\b/gi, '***').slice(0, 600)
}
