import { execFile, spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

/** How a command ended. `output` holds the last lines of stdout and stderr together; `code` is null after a signal. */
export interface Ended {
  readonly code: number | null
  readonly output: readonly string[]
}

/** `onLine` sees each line as it comes; aborting `signal` sends the command SIGINT and rejects. */
export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly onLine?: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

const KEPT_LINES = 50

/** Runs a command without a shell to its end. Rejects only when it could not be started or was aborted. */
export function run(command: string, parameters: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { env, cwd, onLine, signal } = options
  const output: string[] = []
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
  const child = spawn(command, parameters, { env, cwd, signal, killSignal: 'SIGINT', stdio })
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      output.push(line)
      if (output.length > KEPT_LINES) output.shift()
      onLine?.(line)
    })
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

/** The first line a command prints to stdout, or undefined when it cannot be run or fails. */
export async function firstLine(
  command: string,
  parameters: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<string | undefined> {
  const ended = await promisify(execFile)(command, parameters, { env }).catch(() => undefined)
  return ended?.stdout.split('\n')[0]
}

/** Whether `path` is a file this user may run. */
export function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
