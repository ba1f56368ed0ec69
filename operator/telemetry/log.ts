import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'
import { currentReconcile } from './reconcile-context.ts'

/** A structured logger: fields first, then the message. `child` adds fields to every line. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'> & { child(fields: Record<string, unknown>): Log }

const SECRET_NAMES =
  /pass(word|wd|phrase)?$|secret$|token$|^(uri|url|dsn|authorization|cookie|verifier|private_?key)$|_(uri|url|dsn)$/i
const REDACTED = '[redacted]'
const DEEPEST = 6

/**
 * Logs JSON lines to `destination` (default: standard output). Lines of a reconcile carry its `reconcileId`. No value
 * whose name promises a secret is ever written.
 */
export function createLog(options: { level: string; destination?: DestinationStream }): Log {
  const settings: LoggerOptions = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    mixin: reconcileFields,
    formatters: { level: (label) => ({ level: label }), log: cleanFields },
    // Errors are described by cleanFields, before pino would add their own properties (a driver's hold parameters).
    serializers: { err: (value: unknown) => value },
    hooks: {
      logMethod(args, method) {
        const cleaned = args.map((part) => (typeof part === 'string' ? withoutCredentials(part) : part))
        method.apply(this, cleaned as typeof args)
      },
    },
  }
  return wrap(options.destination ? pino(settings, options.destination) : pino(settings))
}

function reconcileFields(): object {
  const reconcile = currentReconcile()
  if (!reconcile) return {}
  const traceId = reconcile.span?.spanContext().traceId
  return { reconcileId: reconcile.id, ...(traceId !== undefined && { traceId }) }
}

/** A log that writes nothing. */
export const silentLog: Log = wrap(pino({ level: 'silent' }))

// pino's own children do not pass their fields through the formatter of the parent.
function wrap(logger: Logger): Log {
  return {
    debug: logger.debug.bind(logger),
    info: logger.info.bind(logger),
    warn: logger.warn.bind(logger),
    error: logger.error.bind(logger),
    child: (fields) => wrap(logger.child(cleanFields(fields))),
  }
}

function cleanFields(fields: Record<string, unknown>): Record<string, unknown> {
  return withoutSecrets(fields, 0) as Record<string, unknown>
}

function withoutSecrets(value: unknown, depth: number): unknown {
  if (value instanceof Error) return describeError(value, depth)
  if (typeof value === 'string') return withoutCredentials(value)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (depth >= DEEPEST) return '[deep]'
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, held]) => [name, cleaned(name, held, depth + 1)] as const),
  )
}

function cleaned(name: string, value: unknown, depth: number): unknown {
  if (SECRET_NAMES.test(name) && value !== undefined && value !== null) return REDACTED
  return withoutSecrets(value, depth)
}

function describeError(error: Error, depth: number): unknown {
  const code = 'code' in error ? { code: error.code } : {}
  const cause = error.cause === undefined || depth >= DEEPEST ? {} : { cause: withoutSecrets(error.cause, depth + 1) }
  const stack = error.stack === undefined ? {} : { stack: withoutCredentials(error.stack) }
  return { type: error.name, message: withoutCredentials(error.message), ...code, ...stack, ...cause }
}

const URI_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/]*):[^\s@/]+@/gi

function withoutCredentials(text: string): string {
  return text.includes('://') ? text.replace(URI_PASSWORD, `$1:${REDACTED}@`) : text
}
