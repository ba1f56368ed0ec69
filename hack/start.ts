/**
 * What `npm start` runs: the embedded stack in `.tenantry/`, the operator on it, and the tenants of examples/quickstart/.
 * Stays until Ctrl-C; with `--once` ends after the table of tenants, with exit code 0 when all of them are ready.
 */
import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OPERATOR_COMMAND } from '@tenantry/operator/command.ts'
import { wrap } from '../cli/table.ts'
import { type Assets, ensureAssets } from './assets/assets.ts'
import { readIfThere, writePrivate } from './stack/files.ts'
import { type Stack, startStack } from './stack/stack.ts'
import { freePort } from './stack/state.ts'
import { tail } from './stack/supervisor.ts'
import { makeConnections } from './start/connections.ts'
import { type Kubectl, kubectlFor } from './start/kubectl.ts'
import { createProgress } from './start/progress.ts'
import { limitations, renderTenants, type Waited, waitForTenants } from './start/tenants.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dir = join(root, '.tenantry')
const quickstart = join(root, 'examples/quickstart')
const READY_TIMEOUT_MS = 180_000
const SERVED_TIMEOUT_MS = 60_000

const interrupt = new AbortController()
const progress = createProgress(process.stderr)

class Interrupted extends Error {}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // The second time somebody is in a hurry: what still runs is ended from outside once this process is gone.
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort(new Interrupted(`ended by ${name}`))
  })
}

try {
  await main(readArguments(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof Interrupted)) console.error(`\n${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = error instanceof Interrupted ? 130 : 1
}
// Nothing may keep a process alive whose work is done, such as a download given up halfway.
process.exit()

function readArguments(args: readonly string[]): { once: boolean } {
  const unknown = args.find((argument) => argument !== '--once')
  if (unknown !== undefined) throw new Error(`Unknown argument ${unknown}. Usage: npm start [-- --once]`)
  return { once: args.includes('--once') }
}

async function main({ once }: { once: boolean }): Promise<void> {
  const assets = await progress.step('Programs', (log) => untilInterrupted(ensureAssets({ log })))
  const stack = await progress.step('Servers', (log) => startStack({ dir, assets, log, signal: interrupt.signal }))
  const crashed = new Promise<never>((_, fail) => stack.onCrash(({ message }) => fail(new Error(message))))
  crashed.catch(() => undefined)
  let settled = false
  try {
    const { waited, url } = await Promise.race([crashed, untilInterrupted(bringUp(stack, assets))])
    console.log(once ? `\n${overview(waited)}\n` : summary(waited, { stack, assets, url }))
    settled = true
    if (!once) await Promise.race([crashed, untilInterrupted(new Promise<never>(() => undefined))])
  } catch (error) {
    // Ctrl-C once everything is up is the normal end.
    if (!(settled && error instanceof Interrupted)) throw error
  } finally {
    await progress.step('Stopping', () => stack.stop())
  }
}

async function bringUp(stack: Stack, assets: Assets): Promise<{ waited: Waited; url: string }> {
  const kubectl = kubectlFor(assets.kubectl, stack.kubeconfig, join(dir, 'kubectl-cache'))
  await progress.step('Custom resources', () => installCrds(kubectl))
  const url = await progress.step('Operator', () => startOperator(stack))
  const keys = await progress.step('Quickstart', () => applyQuickstart(stack, kubectl))
  const { signal } = interrupt
  const waited = await progress
    .step('Tenants', (say) => waitForTenants({ kubectl, keys, timeoutMs: READY_TIMEOUT_MS, say, signal }))
    .catch((error: unknown) => {
      if (error instanceof Interrupted) throw error
      throw withLog(error, join(stack.logs, 'operator.log'))
    })
  return { waited, url }
}

async function installCrds(kubectl: Kubectl): Promise<void> {
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', join(root, 'crds/generated')])
  for (const plural of ['tenants', 'databases']) await untilServed(kubectl, plural)
}

/** The API server says "established" a moment before it answers, and on a busy machine says nothing at all for a while. */
async function untilServed(kubectl: Kubectl, plural: string): Promise<void> {
  const giveUpAt = performance.now() + SERVED_TIMEOUT_MS
  for (;;) {
    try {
      await kubectl(['get', '--raw', `/apis/tenantry.dev/v1alpha1/${plural}?limit=1`])
      return
    } catch (error) {
      if (interrupt.signal.aborted || performance.now() > giveUpAt) throw error
    }
    await untilInterrupted(new Promise((wake) => setTimeout(wake, 250)))
  }
}

/** The installation's id marks what this operator owns: it must outlive the operator. */
function installationId(): string {
  const path = join(dir, 'installation')
  const known = readIfThere(path)?.trim()
  if (known) return known
  const id = randomUUID()
  writePrivate(path, `${id}\n`)
  return id
}

async function startOperator(stack: Stack): Promise<string> {
  const url = `http://127.0.0.1:${await freePort()}`
  const settings = Object.entries(process.env).filter(([name]) => name.startsWith('TENANTRY_'))
  const env = {
    ...Object.fromEntries(settings),
    KUBECONFIG: stack.kubeconfig,
    TENANTRY_HTTP_HOST: '127.0.0.1',
    TENANTRY_HTTP_PORT: new URL(url).port,
    TENANTRY_INSTALLATION: installationId(),
  }
  const program = { name: 'operator', command: process.execPath, args: OPERATOR_COMMAND, env }
  await stack.run(program, async () => {
    const response = await fetch(`${url}/readyz`)
    if (!response.ok) throw new Error(`/readyz answered ${response.status}`)
  })
  return url
}

/** Resolves to `namespace/name` of every Tenant applied. The files win over what was changed by hand. */
async function applyQuickstart(stack: Stack, kubectl: Kubectl): Promise<string[]> {
  const apply = ['apply', '--server-side', '--force-conflicts']
  await kubectl([...apply, '-f', join(quickstart, 'namespaces.yaml')])
  await makeConnections(stack, kubectl)
  const applied: { items: { kind: string; metadata: { namespace: string; name: string } }[] } = JSON.parse(
    await kubectl([...apply, '-o', 'json', '-k', quickstart]),
  )
  const tenants = applied.items.filter(({ kind }) => kind === 'Tenant')
  return tenants.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
}

function summary(waited: Waited, { stack, assets, url }: { stack: Stack; assets: Assets; url: string }): string {
  return [
    `\n${overview(waited)}\n`,
    'Go on with',
    `  export KUBECONFIG=${stack.kubeconfig}`,
    `  export PATH=${dirname(assets.kubectl)}:$PATH`,
    '  kubectl get tenants -A',
    '  kubectl explain tenant.spec',
    '',
    `Metrics  ${url}/metrics`,
    `Logs     ${stack.logs}`,
    `Files    ${quickstart}`,
    '',
    'Ctrl-C ends everything; the data stays for the next start.',
  ].join('\n')
}

function overview(waited: Waited): string {
  return [renderTenants(waited), ...limitations(waited).map((note) => `\n${wrap(`Note. ${note}`)}`)].join('\n')
}

function withLog(error: unknown, path: string): Error {
  const message = error instanceof Error ? error.message : String(error)
  return new Error(`${message}\nThe end of ${path}:\n${tail(readIfThere(path) ?? '')}`, { cause: error })
}

function untilInterrupted<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  const { signal } = interrupt
  signal.throwIfAborted()
  const interrupted = new Promise<never>((_, fail) => {
    signal.addEventListener('abort', () => fail(signal.reason), { once: true })
  })
  return Promise.race([work, interrupted])
}
