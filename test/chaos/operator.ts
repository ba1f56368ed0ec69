/** The operator as a process of its own, between the proxies. */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OPERATOR_COMMAND } from '@tenantry/operator/command.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const PRELOAD = join(import.meta.dirname, 'preload.mjs')

export interface OperatorOptions {
  /** Folder for its kubeconfig. */
  readonly dir: string
  readonly kubeconfig: string
  readonly installation: string
  /** Two elect a leader; one works at once. */
  readonly replicas: 1 | 2
  /** Text replacements in the operator's sources; see preload.mjs. */
  readonly patches: readonly Patch[]
}

/** A deliberate change of one source file: `from` must be there. */
export interface Patch {
  /** Path within the repository. */
  readonly file: string
  readonly from: string
  readonly to: string
}

export interface OperatorProcess {
  /** Everything that all its processes have said. */
  readonly said: () => string
  /** How often one ended by itself, other than because it led no more. */
  readonly crashes: () => number
  /** SIGKILL of the process that leads, and a new one. Resolves when the old one is gone. */
  kill(): Promise<void>
  /** Stops the process that leads for a while, in the middle of whatever it does. Resolves to whether another began to lead. */
  pause(ms: number): Promise<boolean>
  /** Sets the wall clock forward, or back. */
  jump(ms: number): Promise<void>
  stop(): Promise<void>
}

interface Member {
  readonly child: ChildProcess
  /** When it began to lead, as a number that only grows; 0: not yet. */
  leads: number
  retired: boolean
}

const RESTART_AFTER_MS = 1_000
const HEARD_MS = 200
const LED_NO_MORE = 'leads no more'

export function startOperatorProcess(options: OperatorOptions): OperatorProcess {
  const kubeconfig = join(options.dir, `${options.installation}.kubeconfig`)
  writeFileSync(kubeconfig, options.kubeconfig, { mode: 0o600 })
  const said: string[] = []
  const members = new Set<Member>()
  let crashes = 0
  let stopping = false
  let clock = 0
  let terms = 0

  const start = (): void => {
    if (stopping) return
    const member: Member = { child: spawnOperator(options, kubeconfig, clock), leads: 0, retired: false }
    members.add(member)
    const hear = (chunk: Buffer): void => {
      const text = chunk.toString('utf8')
      said.push(text)
      if (text.includes('this process leads"')) member.leads = ++terms
      if (text.includes(LED_NO_MORE)) member.retired = true
    }
    member.child.stdout?.on('data', hear)
    member.child.stderr?.on('data', hear)
    member.child.once('exit', (code, signal) => {
      members.delete(member)
      if (stopping || signal === 'SIGKILL') return
      if (!member.retired) crashes++
      said.push(`a process of the operator ended by itself: ${signal ?? code}\n`)
      setTimeout(start, RESTART_AFTER_MS)
    })
  }
  const leader = (): Member | undefined => [...members].toSorted((a, b) => b.leads - a.leads)[0]
  for (let replica = 0; replica < options.replicas; replica++) start()
  return {
    said: () => said.join(''),
    crashes: () => crashes,
    kill: async () => {
      await end(leader()?.child)
      start()
    },
    pause: async (ms) => {
      // Who has begun to lead has said so before its first write, and we may hear the write first.
      await sleep(HEARD_MS)
      const pid = leader()?.child.pid
      const before = terms
      if (pid !== undefined) await stopFor(pid, ms - HEARD_MS)
      return terms > before
    },
    jump: async (ms) => {
      clock += ms
      for (const { child } of members) child.send({ clock })
    },
    stop: async () => {
      stopping = true
      await Promise.all([...members].map(({ child }) => end(child)))
    },
  }
}

/** By a process of its own: should this one die meanwhile, the stopped one goes on, notices, and ends. */
async function stopFor(pid: number, ms: number): Promise<void> {
  const script = 'kill -STOP "$1"; sleep "$2"; kill -CONT "$1"'
  const hand = spawn('sh', ['-c', script, 'sh', String(pid), String(ms / 1000)], { detached: true, stdio: 'ignore' })
  await new Promise<void>((done) => hand.once('exit', () => done()))
}

/** SIGKILL reaches a stopped process too. */
async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  child.kill('SIGKILL')
  await ended
}

function spawnOperator(options: OperatorOptions, kubeconfig: string, clock: number): ChildProcess {
  return spawn(process.execPath, ['--import', PRELOAD, ...OPERATOR_COMMAND], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...environment(options, kubeconfig), CHAOS_CLOCK: String(clock) },
  })
}

function environment({ installation, patches, dir, replicas }: OperatorOptions, kubeconfig: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: dir,
    KUBECONFIG: kubeconfig,
    NODE_COMPILE_CACHE: join(dir, 'compiled'),
    TENANTRY_INSTALLATION: installation,
    TENANTRY_SELECTOR: `chaos=${installation}`,
    TENANTRY_HTTP_HOST: '127.0.0.1',
    TENANTRY_HTTP_PORT: '0',
    TENANTRY_LOG_LEVEL: 'debug',
    TENANTRY_LEADER_ELECTION: String(replicas > 1),
    TENANTRY_CONNECT_TIMEOUT_MS: '4000',
    TENANTRY_STATEMENT_TIMEOUT_MS: '10000',
    CHAOS_PATCHES: JSON.stringify(patches),
  }
}
