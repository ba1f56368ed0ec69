import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'
import { type ResourceType, SECRETS } from './types.ts'

/** The `Status` object with which the API server refuses a request. */
export interface Status {
  readonly kind?: string
  readonly status?: string
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: { readonly retryAfterSeconds?: number }
}

/** A request to the Kubernetes API that failed. `status` is undefined when no answer came. */
export class KubeError extends AppError {
  readonly status: number | undefined
  readonly reason: string | undefined
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, facts: KubeFailure = {}) {
    super(code, message, facts.cause)
    this.name = 'KubeError'
    this.status = facts.status
    this.reason = facts.reason
    this.retryAfterMs = facts.retryAfterMs
  }
}

export interface KubeFailure {
  readonly status?: number | undefined
  readonly reason?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/** The HTTP status of a failed Kubernetes request, or undefined when it is another error or no answer came. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof KubeError ? error.status : undefined
}

/** True when the resourceVersion asked for is no longer kept: the only cure is to list again. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false
  return error.status === 410 || error.reason === 'Expired' || error.reason === 'Gone'
}

/** Turns a refusal into the error to throw. `doing` names verb and object: "apply secrets a/b". */
export function refusal(doing: string, type: ResourceType, status: Status, code: number): KubeError {
  const detail = describeStatus(type, status, code)
  const seconds = status.details?.retryAfterSeconds
  return new KubeError(codeFor(code), `${doing}: the Kubernetes API answered ${code}${detail}`, {
    status: code,
    reason: status.reason,
    retryAfterMs: seconds === undefined ? undefined : seconds * 1000,
  })
}

/** Turns a failure of the connection into the error to throw. */
export function unreachable(doing: string, cause: unknown): KubeError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new KubeError('KubernetesUnavailable', `${doing}: no answer from the Kubernetes API: ${detail}${code}`, {
    cause,
  })
}

function codeFor(code: number): ErrorCode {
  if (code === 409) return 'KubernetesConflict'
  if (code === 401 || code === 410 || code === 429 || code >= 500) return 'KubernetesUnavailable'
  return 'KubernetesRejected'
}

const LONGEST_DETAIL = 600

// The server quotes the body it could not use ("...|\"password\":12|..."), so of a Secret only the reason is repeated.
function describeStatus(type: ResourceType, status: Status, code: number): string {
  const reason = status.reason ? ` ${status.reason}` : ''
  const advice = code === 403 ? '; check the RBAC rules of the operator' : ''
  if (!status.message || type.plural === SECRETS.plural) return reason + advice
  const message =
    status.message.length > LONGEST_DETAIL ? `${status.message.slice(0, LONGEST_DETAIL)}…` : status.message
  return `${reason}: ${message}${advice}`
}
