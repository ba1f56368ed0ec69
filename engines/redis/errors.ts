import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'

interface Rule {
  readonly test: RegExp
  readonly code: ErrorCode
  readonly hint: string
}

// In order: the first that matches what the server or the socket said.
const RULES: readonly Rule[] = [
  {
    test: /^(WRONGPASS|NOAUTH)|without any password configured/,
    code: 'AuthenticationFailed',
    hint: 'check username and password in the connection Secret',
  },
  {
    test: /unknown command|unknown subcommand/i,
    code: 'Unsupported',
    hint: 'the server does not offer the command: managed services that hide ACL commands cannot hold tenants',
  },
  { test: /^NOPERM/, code: 'PermissionDenied', hint: 'give the administrative user +@all ~* &*' },
  { test: /max number of clients/i, code: 'TooManyConnections', hint: 'raise maxclients or close idle clients' },
  {
    test: /^-?DENIED/,
    code: 'PermissionDenied',
    hint: 'the server is in protected mode: set a password or bind it to this network',
  },
  { test: /^OOM/, code: 'OutOfSpace', hint: 'raise maxmemory or free memory' },
  { test: /^MISCONF/, code: 'OutOfSpace', hint: 'the server cannot write its snapshots to disk: look at its log' },
  {
    test: /^READONLY|not enough good replicas|^NOREPLICAS/i,
    code: 'ServerReadOnly',
    hint: 'the connection Secret must point at the primary',
  },
  {
    test: /^(LOADING|MASTERDOWN|BUSY|TRYAGAIN)/,
    code: 'Unreachable',
    hint: 'the server is starting or busy; it is tried again',
  },
  {
    test: /^(MOVED|CROSSSLOT|CLUSTERDOWN)/,
    code: 'Unsupported',
    hint: 'a Redis Cluster cannot be a shard: use one server (or primary) per shard',
  },
  {
    test: /unknown RESP type|protocol error|command queue state/i,
    code: 'WrongEngine',
    hint: 'another engine answers on this port',
  },
  { test: /timed? ?out/i, code: 'Timeout', hint: 'the server did not answer in time' },
  {
    test: /certificate|ssl|tls|self.signed/i,
    code: 'Unreachable',
    hint: 'check tls and ca.crt in the connection Secret',
  },
  {
    test: /E(CONN|HOST|NET|PIPE|NOTFOUND|AI_)|connection is closed|socket/i,
    code: 'Unreachable',
    hint: 'check host and port in the connection Secret, and that the server runs',
  },
]

/**
 * An AppError for anything a driver call threw. The driver's error is not kept as its cause: it carries the command's
 * arguments, and those of AUTH and ACL SETUSER are secrets.
 */
export function toAppError(error: unknown, doing: string): AppError {
  if (error instanceof AppError) return error
  const detail = redact(detailOf(error))
  const rule = RULES.find((r) => r.test.test(detail))
  if (!rule) return new AppError(/^[A-Z]+ /.test(detail) ? 'StatementFailed' : 'Internal', `${doing}: ${detail}`)
  return new AppError(rule.code, `${doing}: ${detail}; ${rule.hint}`)
}

function detailOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return error.message.includes(code) ? error.message || error.name : `${code} ${error.message}`.trim()
}

/** Removes what a server may quote back from a command: password hashes and plain passwords of ACL rules. */
export function redact(text: string): string {
  return text
    .replace(' Please report this.', '')
    .replace(/[#!][0-9a-f]{16,}/gi, '#***')
    .replace(/'[<>][^']*'/g, "'***'")
}
