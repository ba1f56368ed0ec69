import type { KubeConfig } from '@kubernetes/client-node'
import { AppError } from '@tenantry/crds/errors.ts'
import { shown } from '@tenantry/engines/postgres/lint/shown.ts'
import { LINT_USAGE, lintCommand } from './lint.ts'
import { MIGRATIONS_USAGE, SCHEMA_USAGE } from './usage.ts'

/** What a command needs of the process it runs in. */
export interface Io {
  /** The bytes of a file, or of the standard input for `-`. */
  readonly read: (file: string) => Promise<Uint8Array>
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Where the cluster is, as kubectl finds it. */
  readonly kubeConfig: () => Promise<KubeConfig>
  /** Characters in a line of the terminal. */
  readonly width: number
}

/** The command could not do its work. */
export class CommandError extends Error {}

/** The command was used wrongly: the message says how, and the usage is told as well. */
export class UsageError extends CommandError {}

interface Command {
  readonly usage: string
  readonly run: (args: readonly string[], io: Io) => Promise<number>
}

/** What talks to a cluster is loaded when it is asked for: lint needs none of it. */
const COMMANDS: Readonly<Record<string, Command>> = {
  lint: { usage: LINT_USAGE, run: lintCommand },
  migrations: {
    usage: MIGRATIONS_USAGE,
    run: async (args, io) => await (await import('./migrations.ts')).migrationsCommand(args, io),
  },
  schema: {
    usage: SCHEMA_USAGE,
    run: async (args, io) => await (await import('./schema.ts')).schemaCommand(args, io),
  },
}

const USAGE = Object.values(COMMANDS)
  .map(({ usage }) => usage)
  .join('\n\n')

/** Runs a command and resolves to the exit code. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  try {
    if (isHelp(name)) return help(USAGE, io)
    if (!command) throw new UsageError(name === undefined ? 'which command?' : `there is no command "${shown(name)}"`)
    return ['--help', '-h'].some((word) => rest.includes(word)) ? help(command.usage, io) : await command.run(rest, io)
  } catch (error) {
    return failed(error, command?.usage ?? USAGE, io)
  }
}

function failed(error: unknown, usage: string, io: Io): number {
  if (!(error instanceof CommandError || error instanceof AppError)) throw error
  io.err(`tenantry: ${error.message}\n${error instanceof UsageError ? `${usage}\n` : ''}`)
  return 2
}

function isHelp(word: string | undefined): boolean {
  return word === '--help' || word === '-h' || word === 'help'
}

function help(usage: string, io: Io): number {
  io.out(`${usage}\n`)
  return 0
}
