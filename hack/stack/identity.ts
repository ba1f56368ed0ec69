import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process as it can be found again after the one that started it has died. */
export interface ProcessRecord {
  readonly name: string
  readonly pid: number
  /** When the process started, in the system's own notation: a recycled pid has another one. */
  readonly started: string
  readonly stopSignal: NodeJS.Signals
}

const START_TIME_AFTER_COMMAND = 19

/** The start time of a living process; undefined when there is none of that pid, or only its zombie. */
export function startTime(pid: number): string | undefined {
  try {
    return process.platform === 'linux' ? startTimeFromProc(pid) : startTimeFromPs(pid)
  } catch {
    return undefined
  }
}

export function isAlive(record: Pick<ProcessRecord, 'pid' | 'started'>): boolean {
  return startTime(record.pid) === record.started
}

function startTimeFromProc(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? undefined : fields[START_TIME_AFTER_COMMAND]
}

function startTimeFromPs(pid: number): string | undefined {
  const [state, ...started] = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
  return state === undefined || state.startsWith('Z') ? undefined : started.join(' ')
}
