import { type CommandTable, parseCommands } from './commands.ts'
import { answer, type Command, type Link } from './link.ts'

/** Keeps the command table of the server behind a link, which is large and changes only with the process or its modules. */
export interface ServerTable {
  /** The table if it is known, whether or not the server was restarted since. */
  readonly current: () => CommandTable | undefined
  /** Takes the answers to `IDENTITY` and drops a table that belongs to another process or set of modules. */
  readonly identify: (info: unknown, count: unknown) => void
  /** Takes the answer to `COMMAND`. */
  readonly learn: (reply: unknown) => CommandTable
}

/** What to ask in order to know whether a table is still that of the server. */
export const IDENTITY: readonly Command[] = [
  ['INFO', 'server'],
  ['COMMAND', 'COUNT'],
]

export function serverTable(): ServerTable {
  let identity: string | undefined
  let table: CommandTable | undefined
  return {
    current: () => table,
    identify(info, count) {
      const now = `${/run_id:(\S+)/.exec(String(info))?.[1]}/${count}`
      if (now !== identity) table = undefined
      identity = now
    },
    learn(reply) {
      table = parseCommands(reply)
      return table
    },
  }
}

/** The table, read from the server if it is not known yet. */
export async function tableOf(link: Link, server: ServerTable, signal: AbortSignal): Promise<CommandTable> {
  const known = server.current()
  if (known) return known
  const replies = await link.pipeline([...IDENTITY, ['COMMAND']], signal)
  const [info, count, commands] = replies.map((r) => answer(r, `read the commands of ${link.where}`))
  server.identify(info, count)
  return server.learn(commands)
}
