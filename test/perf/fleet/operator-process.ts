/** The operator as a cluster runs it: a process of its own with the settings it has by default, which can be ended in two ways. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OPERATOR_COMMAND } from '@tenantry/operator/command.ts'
import { freePort } from '../../../hack/stack/state.ts'
import { tail } from '../../../hack/stack/supervisor.ts'
import { type Counters, scrape } from '../metrics.ts'

const POLL_MS = 50
const KIB_PER_MIB = 1024

export interface OperatorProcess {
  /** `performance.now()` of its start. */
  readonly startedAt: number
  /** What it has counted so far; undefined while it does not answer yet. Rejects when it has ended by itself. */
  counters(): Promise<Counters | undefined>
  /** True once it has listed everything. */
  ready(): Promise<boolean>
  /** The most memory that it has held so far, in MiB; undefined where there is no /proc. */
  peakMemory(): number | undefined
  /** Ends it at once, as a lost node does. Does nothing when it has ended. */
  kill(): Promise<void>
  /** Asks it to stop, and waits until it has. */
  stop(): Promise<void>
}

export interface ProcessOptions {
  readonly kubeconfig: string
  readonly settings: Readonly<Record<string, string>>
  /** The folder of its log. */
  readonly logs: string
  readonly name: string
  /** A folder for its CPU profile, which it writes when it is stopped. */
  readonly profile?: string | undefined
}

export async function startProcess({
  kubeconfig,
  settings,
  logs,
  name,
  profile,
}: ProcessOptions): Promise<OperatorProcess> {
  const port = await freePort()
  const path = join(logs, `${name}.log`)
  const log = openSync(path, 'a', 0o600)
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...profiling, ...OPERATOR_COMMAND], {
    stdio: ['ignore', log, log],
    env: {
      PATH: process.env.PATH,
      // As an image has it: compiled once.
      NODE_COMPILE_CACHE: join(logs, 'compiled'),
      KUBECONFIG: kubeconfig,
      ...settings,
      TENANTRY_HTTP_HOST: '127.0.0.1',
      TENANTRY_HTTP_PORT: String(port),
    },
  })
  closeSync(log)
  const exited = once(child, 'exit')
  const orphan = (): void => void child.kill('SIGKILL')
  process.once('exit', orphan)
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (isAlive(child)) {
      child.kill(signal)
      await exited
    }
    process.off('exit', orphan)
  }
  const alive = (): void => {
    if (!isAlive(child)) throw new Error(`the operator has ended by itself:\n${tail(readFileSync(path, 'utf8'))}`)
  }
  const url = `http://127.0.0.1:${port}`
  return {
    startedAt,
    counters: async () => {
      alive()
      return await scrape(`${url}/metrics`).catch(() => undefined)
    },
    ready: async () => {
      alive()
      return await fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    },
    peakMemory: () => peakMemory(child.pid),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function peakMemory(pid: number | undefined): number | undefined {
  try {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kib === undefined ? undefined : Number(kib) / KIB_PER_MIB
  } catch {
    return undefined
  }
}

/** Waits until `check` gives something; rejects after `timeoutMs`, naming what was waited for. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  { signal, timeoutMs = 600_000, pollMs = POLL_MS }: { signal: AbortSignal; timeoutMs?: number; pollMs?: number },
): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs
  for (;;) {
    signal.throwIfAborted()
    const found = await check()
    if (found !== undefined && found !== false) return found
    if (performance.now() > giveUpAt) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`)
    await sleep(pollMs, undefined, { signal })
  }
}
