/** The operator as the process that it is in a cluster, for tests that kill it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { OPERATOR_COMMAND } from '@tenantry/operator/command.ts'
import { expect } from 'vitest'
import { until } from './operator.ts'
import { useStack } from './stack.ts'

export interface OperatorProcess {
  /** Resolves once it has listed everything and works. */
  ready(): Promise<void>
  /** Ends it at once, as a crash or a lost node does. */
  kill(): Promise<void>
  /** Freezes it where it is, as a long garbage collection or a suspended machine does. */
  pause(): void
  resume(): void
  /** Resolves to its exit code once it has ended by itself. */
  ended(): Promise<number | null>
  /** Asks it to stop; resolves to its exit code. */
  stop(): Promise<number | null>
  /** Everything that it printed. */
  printed(): string
}

/** Starts `operator/main.ts`, which looks after what carries the label `test` with the installation's name. */
export function spawnOperator(installation: string, env: Readonly<Record<string, string>> = {}): OperatorProcess {
  const child = spawn(process.execPath, OPERATOR_COMMAND, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      // Starting is most of what a killed operator costs: compiled once, it starts in half the time.
      NODE_COMPILE_CACHE: join(dirname(useStack().kubeconfig), 'compiled'),
      KUBECONFIG: useStack().kubeconfig,
      TENANTRY_INSTALLATION: installation,
      TENANTRY_SELECTOR: `test=${installation}`,
      // A killed process leaves its Lease behind: its successor would wait for it and do nothing meanwhile.
      TENANTRY_LEADER_ELECTION: 'false',
      TENANTRY_HTTP_HOST: '127.0.0.1',
      TENANTRY_HTTP_PORT: '0',
      ...env,
    },
  })
  const exited = once(child, 'exit')
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += String(chunk)))
  return {
    ready: () => until('the operator to be ready', () => askReady(child, printed)),
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    ended: async () => {
      await exited
      return child.exitCode
    },
    stop: async () => {
      child.kill('SIGTERM')
      await exited
      return child.exitCode
    },
    printed: () => printed,
  }
}

async function askReady({ exitCode }: ChildProcess, printed: string): Promise<void> {
  expect(exitCode, printed).toBeNull()
  const port = /"port":(\d+)/.exec(printed)?.[1]
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`)
  expect(answer.status).toBe(200)
}
