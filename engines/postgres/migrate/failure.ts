import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'
import { codeOf, FENCED, sqlState } from '../errors.ts'
import type { Migration, Reversal } from '../model.ts'
import { HELD } from './guard-statements.ts'
import { CHANGED } from './ledger.ts'
import { isInFile } from './routines.ts'

/** Errors that the file itself is to blame for; anything else, such as a lock that was not granted, may pass. */
const FAULTS: readonly ErrorCode[] = [
  'Fenced',
  'StatementFailed',
  'PermissionDenied',
  'SecretInvalid',
  'Unsupported',
  'ServerReadOnly',
]

/** A file or what undoes it, with the text that was sent. */
export interface Ran {
  readonly target: Migration | Reversal
  readonly sent: string
}

/** How messages about a file begin. */
export function applying({ kind, spec }: Migration | Reversal): string {
  return `${kind === 'Reversal' ? 'undo' : 'apply'} SQL file ${spec.name} ${kind === 'Reversal' ? 'in' : 'to'} schema "${spec.schema}"`
}

/** What the refusal of a file means. Gives back what is no fault of the file's. */
export function failureOf(ran: Ran, error: unknown): unknown {
  const state = sqlState(error)
  if (state === undefined || !(error instanceof Error)) return error
  const ours = !inFile(error)
  if (ours && state === FENCED) return error
  if (ours && state === CHANGED) return changed(ran.target)
  if (state === HELD) return refused(ran.target, error)
  if (!FAULTS.includes(codeOf(error))) return error
  const told = `${error.message}${lineOf(error, ran.sent)} (SQLSTATE ${state})`
  return new AppError(
    'MigrationFailed',
    `${applying(ran.target)}: ${told}. Nothing of the file was kept. ${advice(state)}`,
    error,
  )
}

/** Where a file that runs outside a transaction stopped. */
interface Stop {
  readonly number: number
  readonly of: number
  /** The character of the file at which the statement begins. */
  readonly start: number
}

/** What the refusal of a statement of such a file means. */
export function failureOutside(target: Migration, { number, of, start }: Stop, error: unknown): unknown {
  const state = sqlState(error)
  if (state === undefined || !(error instanceof Error) || !FAULTS.includes(codeOf(error))) return error
  if (state === FENCED && !inFile(error)) return error
  const { body } = target.spec
  const line = body.slice(0, start + body.slice(start).search(/\S/)).split('\n').length
  return new AppError(
    'MigrationFailed',
    `${applying(target)}: ${error.message} in statement ${number} of ${of} at line ${line} (SQLSTATE ${state}). The statements ` +
      'before it were kept. Once corrected, the file is run again from its beginning: its statements must be repeatable, as ' +
      'with IF NOT EXISTS',
    error,
  )
}

/** A short form for the ledger; undefined for what says nothing of the file. */
export function noteOf(error: unknown): { readonly state: string; readonly message: string } | undefined {
  if (!(error instanceof AppError) || !['MigrationFailed', 'LockTimeout', 'RollbackRefused'].includes(error.code))
    return
  const state = sqlState(error.cause)
  return state === undefined ? undefined : { state, message: `${state} ${error.message}` }
}

/** Whether the statement that failed stands in the file, or in what it called. The server tells, not the file. */
function inFile(error: Error): boolean {
  return isInFile(String(Reflect.get(error, 'where') ?? ''))
}

/** The server names the place within the file by its character. */
function lineOf(error: Error, sent: string): string {
  const position = Number(Reflect.get(error, 'internalPosition') ?? 0)
  if (position === 0 || Reflect.get(error, 'internalQuery') !== sent) return ''
  const before = [...sent].slice(0, position - 1).join('')
  return ` at line ${before.split('\n').length}`
}

function changed(target: Migration | Reversal): AppError {
  const { version } = target.spec
  return new AppError(
    'MigrationChanged',
    `${applying(target)}: another text was applied under version ${version}; ` +
      'restore it, and put the change into a new file with a higher version',
  )
}

function refused(target: Migration | Reversal, error: Error): AppError {
  return new AppError(
    'RollbackRefused',
    `${applying(target)}: ${error.message}. Nothing was undone. Keep what is there elsewhere and empty it, or correct the file by a ` +
      'new one with a higher version',
    error,
  )
}

/** Files run inside one transaction: whatever cannot, is told so by the server in several ways. */
function advice(state: string): string {
  return ['25001', '0A000', '2D000'].includes(state)
    ? 'A file runs inside one transaction: leave out BEGIN and COMMIT, and let one with statements such as CREATE INDEX ' +
        'CONCURRENTLY begin with "-- tx: none".'
    : 'Correct it: the file has not been applied yet and may be changed.'
}
