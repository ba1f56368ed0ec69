/** How a failed reconcile is retried: with exponential backoff, at the slow resync pace, or only when the spec changes. */
export type Retry = 'backoff' | 'slow' | 'never'

/** The one error table. A code is the condition reason, the metric label and the heading in docs/reference/errors.md. */
export const ERRORS = {
  InvalidSpec: { retry: 'never', title: 'The spec contradicts itself or asks for something that does not exist' },
  DatabaseNotFound: { retry: 'slow', title: 'A Database that the Tenant refers to does not exist' },
  DatabaseNotReady: { retry: 'backoff', title: 'The Database or the chosen shard is not ready' },
  ReferenceNotAllowed: { retry: 'slow', title: 'The Database does not allow Tenants of this namespace' },
  NoCapacity: { retry: 'slow', title: 'No active shard has room for another tenant' },
  SecretNotFound: { retry: 'slow', title: 'A connection Secret does not exist' },
  SecretInvalid: { retry: 'slow', title: 'A connection Secret lacks a key or holds a malformed value' },
  SecretConflict: { retry: 'slow', title: 'A Secret of the wanted name exists and is not ours' },
  SourceNotFound: { retry: 'slow', title: 'A ConfigMap with SQL files does not exist' },
  SourceInvalid: { retry: 'slow', title: 'A ConfigMap with SQL files has a file that cannot be used' },
  WrongEngine: { retry: 'slow', title: 'The server behind a shard is of another engine' },
  UnsupportedVersion: { retry: 'slow', title: 'The server is older than Tenantry supports' },
  AuthenticationFailed: { retry: 'slow', title: 'The server refused the user or the password' },
  PermissionDenied: { retry: 'slow', title: 'The administrative user lacks a privilege' },
  Unreachable: { retry: 'backoff', title: 'The server could not be reached' },
  Timeout: { retry: 'backoff', title: 'The server did not answer in time' },
  TooManyConnections: { retry: 'backoff', title: 'The server has no connection left' },
  ServerReadOnly: { retry: 'backoff', title: 'The server accepts no writes' },
  LockTimeout: { retry: 'backoff', title: 'A lock was not granted in time' },
  OutOfSpace: { retry: 'slow', title: 'The server has no disk space or memory left' },
  Conflict: { retry: 'slow', title: 'An object of the wanted name exists and is not ours' },
  MigrationFailed: { retry: 'slow', title: 'A SQL file failed' },
  MigrationChanged: { retry: 'slow', title: 'A SQL file changed after it was applied' },
  RollbackRefused: { retry: 'slow', title: 'A SQL file cannot be undone without losing data' },
  NotIsolated: { retry: 'slow', title: 'The tenant could read data of another' },
  Unsupported: { retry: 'slow', title: 'The server cannot do what the spec asks for' },
  Fenced: { retry: 'backoff', title: 'A newer leader writes to this server' },
  InUse: { retry: 'slow', title: 'Tenants still live on it' },
  StatementFailed: { retry: 'backoff', title: 'The server refused a statement' },
  KubernetesConflict: { retry: 'backoff', title: 'The object changed while it was written' },
  KubernetesRejected: { retry: 'slow', title: 'The Kubernetes API does not allow the request or finds it invalid' },
  KubernetesUnavailable: { retry: 'backoff', title: 'The Kubernetes API did not answer or cannot serve now' },
  Internal: { retry: 'backoff', title: 'A defect in Tenantry' },
} as const satisfies Record<string, { retry: Retry; title: string }>

/** A key of the error table. */
export type ErrorCode = keyof typeof ERRORS

/** The only error type that crosses a module boundary. `message` is for people: what was tried on what, what was wrong, what to do. It never holds a secret. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly retry: Retry

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'AppError'
    this.code = code
    this.retry = ERRORS[code].retry
  }
}

/** Wraps anything thrown into an AppError; an AppError passes through unchanged. `doing` starts the message: "observe shard s0". */
export function asAppError(error: unknown, doing: string, code: ErrorCode = 'Internal'): AppError {
  if (error instanceof AppError) return error
  const detail = error instanceof Error ? error.message : String(error)
  return new AppError(code, `${doing}: ${detail}`, error)
}
