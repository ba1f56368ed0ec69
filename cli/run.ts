import { AppError } from '@tenantry/crds/errors.ts'
import { shown } from '@tenantry/engines/postgres/lint/shown.ts'
import { LINT_USAGE, lintCommand } from './lint.ts'

/** What a command needs of the process it runs in. */
export interface Io {
  /** The bytes of a file, or of the standard input for `-`. */
  readonly read: (file: string) => Promise<Uint8Array>
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

/** The command could not do its work. */
export class CommandError extends Error {}

/** The command was used wrongly: the message says how, and the usage is told as well. */
export class UsageError extends CommandError {}

/** Runs a command and resolves to the exit code. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const [command, ...rest] = args
  try {
    if (command === undefined || ['help', '--help', '-h'].includes(command)) return help(command, io)
    if (command !== 'lint') throw new UsageError(`there is no command "${shown(command)}"`)
    return await lintCommand(rest, io)
  } catch (error) {
    if (!(error instanceof CommandError || error instanceof AppError)) throw error
    io.err(`tenantry: ${error.message}\n${error instanceof UsageError ? `${LINT_USAGE}\n` : ''}`)
    return 2
  }
}

function help(command: string | undefined, io: Io): number {
  if (command === undefined) throw new UsageError('which command?')
  io.out(`${LINT_USAGE}\n`)
  return 0
}
