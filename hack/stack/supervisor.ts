import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Claim } from './claim.ts'
import { readIfThere } from './files.ts'
import { type ProcessRecord, startTime } from './identity.ts'
import { type Reaper, startReaper } from './reaper.ts'

const TAIL_LINES = 20
const STOP_GRACE_MS = 10_000
const POLL_MS = 50

/** A long-running program of the stack. */
export interface ProgramSpec {
  /** Also the name of its log: `<name>.log`. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly uid?: number
  readonly gid?: number
  readonly stopSignal?: NodeJS.Signals
}

/** What a program that ended by itself left: `message` names it, how it ended and its log's last lines. */
export interface Crash {
  readonly name: string
  readonly message: string
}

interface Running {
  readonly spec: ProgramSpec
  readonly process: ChildProcess
  readonly record: ProcessRecord | undefined
  readonly ended: Promise<string>
  end: string | undefined
  stopping: boolean
}

/** Starts programs, watches over them and ends them; should this process be killed, they end too. */
export class Supervisor {
  readonly #logs: string
  readonly #claim: Claim
  readonly #reaper: Reaper = startReaper()
  readonly #running = new Map<string, Running>()
  readonly #listeners = new Set<(crash: Crash) => void>()
  readonly #signal: AbortSignal | undefined

  /** `signal` ends every wait for a program, and lets no further one start. */
  constructor(logs: string, claim: Claim, signal?: AbortSignal) {
    mkdirSync(logs, { recursive: true })
    this.#logs = logs
    this.#claim = claim
    this.#signal = signal
  }

  /** Starts a program in a session of its own, so that Ctrl-C in the terminal reaches us alone and the order is ours. */
  start(spec: ProgramSpec): void {
    this.#signal?.throwIfAborted()
    const log = openSync(this.#rotatedLog(spec.name), 'a', 0o600)
    const child = spawn(spec.command, spec.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { PATH: process.env.PATH, HOME: this.#logs, TZ: 'UTC', ...spec.env },
      ...(spec.uid !== undefined && { uid: spec.uid }),
      ...(spec.gid !== undefined && { gid: spec.gid }),
    })
    closeSync(log)
    const ended = new Promise<string>((end) => {
      child.once('error', (error) => end(`could not be run: ${error.message}`))
      child.once('exit', (code, signal) => end(signal === null ? `ended with code ${code}` : `was ended by ${signal}`))
    })
    const running: Running = {
      spec,
      process: child,
      record: recordOf(spec, child),
      ended,
      end: undefined,
      stopping: false,
    }
    this.#running.set(spec.name, running)
    if (running.record) this.#reaper.add(running.record.pid, running.record.stopSignal)
    this.#writeRecords()
    void ended.then((how) => this.#onEnd(running, how))
  }

  /** Waits until `probe` resolves; rejects with the log's tail when the program ends first or the time is over. */
  async ready(name: string, probe: () => Promise<unknown>, timeoutMs = 120_000): Promise<void> {
    const running = this.#running.get(name)
    if (!running) throw new Error(`${name} was never started`)
    const deadline = performance.now() + timeoutMs
    for (;;) {
      this.#signal?.throwIfAborted()
      if (running.end !== undefined) throw new Error(this.#obituary(name, `${running.end} before it was ready`))
      const failure = await outcome(probe)
      if (failure === undefined) return
      if (performance.now() > deadline) {
        throw new Error(this.#obituary(name, `was not ready within ${timeoutMs / 1000} s (${failure})`))
      }
      await Promise.race([sleep(POLL_MS), running.ended])
    }
  }

  onCrash(listener: (crash: Crash) => void): void {
    this.#listeners.add(listener)
  }

  /** Ends one program: its stop signal, and SIGKILL when that does not help. Does nothing for one that is not running. */
  async stop(name: string): Promise<void> {
    const running = this.#running.get(name)
    if (!running || running.end !== undefined) return
    running.stopping = true
    running.process.kill(running.spec.stopSignal ?? 'SIGTERM')
    const timer = setTimeout(() => running.process.kill('SIGKILL'), STOP_GRACE_MS)
    await running.ended
    clearTimeout(timer)
  }

  /** Ends what still runs, the last started first, and lets go of the folder. */
  async close(): Promise<void> {
    for (const name of [...this.#running.keys()].reverse()) await this.stop(name)
    this.#reaper.close()
    this.#claim.release()
  }

  #onEnd(running: Running, how: string): void {
    running.end = how
    if (running.record) this.#reaper.remove(running.record.pid)
    this.#writeRecords()
    if (running.stopping) return
    const crash = { name: running.spec.name, message: this.#obituary(running.spec.name, how) }
    for (const listener of this.#listeners) listener(crash)
  }

  #writeRecords(): void {
    const alive = [...this.#running.values()].filter((running) => running.end === undefined)
    this.#claim.record(alive.flatMap((running) => running.record ?? []))
  }

  #logPath(name: string): string {
    return join(this.#logs, `${name}.log`)
  }

  #rotatedLog(name: string): string {
    const path = this.#logPath(name)
    if (readIfThere(path) !== undefined) renameSync(path, join(this.#logs, `${name}.previous.log`))
    return path
  }

  #obituary(name: string, how: string): string {
    const path = this.#logPath(name)
    return `${name} ${how}. The end of ${path}:\n${tail(readIfThere(path) ?? '')}`
  }
}

/** The last lines of a log, indented by two. */
export function tail(text: string): string {
  const lines = text.trimEnd().split('\n').slice(-TAIL_LINES)
  return lines.map((line) => `  ${line}`).join('\n')
}

function recordOf(spec: ProgramSpec, child: ChildProcess): ProcessRecord | undefined {
  if (child.pid === undefined) return undefined
  const stopSignal = spec.stopSignal ?? 'SIGTERM'
  return { name: spec.name, pid: child.pid, started: startTime(child.pid) ?? '', stopSignal }
}

async function outcome(probe: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await probe()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
