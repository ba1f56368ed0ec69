/** Takes one line, without a newline. */
export type Log = (line: string) => void

/** A long step under way. `text` is asked each time a line is due; `stop` ends the reports and clears a terminal's line. */
export interface Progress extends Disposable {
  readonly stop: () => void
}

const TERMINAL_MS = 500
const LOG_MS = 15_000

/** Reports a long step: on a terminal by one line that is rewritten, elsewhere by a line to `log` every 15 seconds. */
export function startProgress(text: () => string, log: Log): Progress {
  const terminal = process.stderr.isTTY === true
  const columns = () => process.stderr.columns || 80
  const rewrite = () => process.stderr.write(`\r\x1b[K${text().slice(0, columns() - 1)}`)
  const timer = terminal ? setInterval(rewrite, TERMINAL_MS) : setInterval(() => log(text()), LOG_MS)
  const stop = () => {
    clearInterval(timer)
    if (terminal) process.stderr.write('\r\x1b[K')
  }
  return { stop, [Symbol.dispose]: stop }
}

/** Whole seconds since `started`, a value of `performance.now()`, as "95 s". */
export function elapsed(started: number): string {
  return `${Math.round((performance.now() - started) / 1000)} s`
}
