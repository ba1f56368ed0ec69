import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Reaper } from '../stack/reaper.ts'
import type { Launch } from './launch.ts'

/** How a process ended; `message` says why it could not be started. */
export interface ProcessEnd {
  readonly exitCode: number
  readonly message?: string
}

/** A container's process, in a session of its own: a signal to the node, as by Ctrl-C, does not reach it. */
export interface LocalProcess {
  readonly pid: number | undefined
  readonly ended: Promise<ProcessEnd>
  /** Asks it to end, and kills it with all it started after `graceMs`. Further calls can only shorten that. */
  stop(graceMs: number): void
}

const COULD_NOT_START = 128

/** Starts a process whose output goes to the open file `log`. Should the node be killed, `reaper` ends it. */
export function startProcess(launch: Launch, log: number, reaper: Reaper): LocalProcess {
  const { command, args, env, cwd } = launch
  const child = spawn(command, args, { env: { ...env }, cwd, detached: true, stdio: ['ignore', log, log] })
  const { pid } = child
  if (pid !== undefined) reaper.add(pid, 'SIGTERM')
  const timers: NodeJS.Timeout[] = []
  const ended = new Promise<ProcessEnd>((end) => {
    child.once('error', (error) => {
      if (pid === undefined) end({ exitCode: COULD_NOT_START, message: `could not start ${command}: ${error.message}` })
    })
    child.once('exit', (code, signal) => {
      for (const timer of timers) clearTimeout(timer)
      if (pid !== undefined) settle(pid, reaper)
      end({ exitCode: code ?? 128 + constants.signals[signal ?? 'SIGKILL'] })
    })
  })
  const stop = (graceMs: number): void => {
    if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    if (timers.length === 0 && graceMs > 0) child.kill('SIGTERM')
    timers.push(setTimeout(() => killGroup(pid), graceMs))
  }
  return { pid, ended, stop }
}

/** A container ends with its first process: whatever that one started goes too. */
function settle(pid: number, reaper: Reaper): void {
  killGroup(pid)
  reaper.remove(pid)
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group is empty already.
  }
}
