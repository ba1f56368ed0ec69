/** A process node on the shared control plane, and what its tests do with Pods. Each test has a namespace of its own. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AppsV1Api,
  BatchV1Api,
  CoreV1Api,
  KubeConfig,
  RbacAuthorizationV1Api,
  type V1Container,
  type V1Pod,
  type V1PodSpec,
} from '@kubernetes/client-node'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { freshNamespace, freshSuffix, useStack } from '../../test/support/stack.ts'
import { startTime } from '../stack/identity.ts'
import { type ProcessNode, startNode } from './node.ts'

const WEB = `
  import { readFileSync, existsSync } from 'node:fs'
  import { createServer } from 'node:http'
  const root = process.env.TENANTRY_ROOT
  const answers = {
    '/env': () => process.env,
    '/pid': () => process.pid,
    '/args': () => process.argv.slice(2),
    '/file': () => readFileSync(process.argv[2], 'utf8'),
    '/crash': () => process.exit(3),
    '/ready': () => { if (process.env.NEVER_READY) throw new Error('not ready') ; return 'ok' },
  }
  createServer(({ url }, response) => {
    try { response.end(JSON.stringify(answers[url]())) }
    catch (error) { response.writeHead(500).end(String(error)) }
  }).listen(8080, () => console.log('listening'))
  process.on('SIGTERM', () => { console.log('stopping'); process.exit(0) })
`

const config = new KubeConfig()
config.loadFromFile(useStack().kubeconfig)

export const core = config.makeApiClient(CoreV1Api)
export const apps = config.makeApiClient(AppsV1Api)
export const batch = config.makeApiClient(BatchV1Api)
export const rbac = config.makeApiClient(RbacAuthorizationV1Api)

const dir = mkdtempSync(join(tmpdir(), 'tenantry-node-'))
const nodeName = `node-${freshSuffix()}`
const lines: string[] = []
let node: ProcessNode

/** The namespace of the test that runs. */
export let namespace: string

/** Starts the node for the tests of a file, and stops it after them. */
export function useProcessNode(): void {
  beforeAll(async () => {
    writeFileSync(join(dir, 'web.mjs'), WEB)
    await startAgain()
  })
  afterAll(async () => {
    await node.stop()
    await core.deleteNode({ name: nodeName })
    rmSync(dir, { recursive: true, force: true })
    expect(lines).toEqual([])
  })
  beforeEach(async () => {
    namespace = await freshNamespace('node')
    await until('the default service account', () =>
      core.readNamespacedServiceAccount({ namespace, name: 'default' }).then(Boolean, () => false),
    )
  })
}

export function stopNode(): Promise<void> {
  return node.stop()
}

export async function startAgain(): Promise<void> {
  const web = { command: [process.execPath, join(dir, 'web.mjs')] }
  node = await startNode({
    kubeconfig: useStack().kubeconfig,
    name: nodeName,
    dir: join(dir, 'node'),
    log: (line) => lines.push(line),
    images: { 'test/web': web, 'test/sh': { command: ['/bin/sh'], args: ['-c', 'exit 0'] } },
  })
}

/** Pods of these tests go to this node alone: other files may run nodes of their own. */
export function here(): Pick<V1PodSpec, 'nodeSelector' | 'terminationGracePeriodSeconds'> {
  return { nodeSelector: { 'kubernetes.io/hostname': nodeName }, terminationGracePeriodSeconds: 5 }
}

function web(container: Partial<V1Container>): V1Container {
  return { name: 'web', image: 'test/web:1.0', ports: [{ name: 'http', containerPort: 8080 }], ...container }
}

export async function deploy({
  replicas = 1,
  container = {},
}: {
  replicas?: number
  container?: Partial<V1Container>
}) {
  const labels = { app: 'web' }
  const template = { metadata: { labels }, spec: { ...here(), containers: [web(container)] } }
  const body = { metadata: { name: 'web' }, spec: { replicas, selector: { matchLabels: labels }, template } }
  await apps.createNamespacedDeployment({ namespace, body })
}

export async function createPod(container: Partial<V1Container>, spec: Partial<V1PodSpec> = {}) {
  const body = { metadata: { name: 'web' }, spec: { ...here(), containers: [web(container)], ...spec } }
  await core.createNamespacedPod({ namespace, body })
}

export async function runPod(container: Partial<V1Container>, spec: Partial<V1PodSpec> = {}): Promise<V1Pod> {
  await createPod(container, spec)
  const [pod] = await runningPods(1)
  if (!pod) throw new Error('no Pod runs')
  return pod
}

export async function scale(replicas: number) {
  await apps.replaceNamespacedDeploymentScale({
    namespace,
    name: 'web',
    body: { metadata: { namespace, name: 'web' }, spec: { replicas } },
  })
}

export function available(replicas: number) {
  return until(`${replicas} available replicas`, async () => {
    const { status } = await apps.readNamespacedDeployment({ namespace, name: 'web' })
    return status?.availableReplicas === replicas && status.replicas === replicas
  })
}

export async function pods(): Promise<V1Pod[]> {
  return (await core.listNamespacedPod({ namespace })).items
}

/** Pods whose containers run and, where they serve, answer. */
export function runningPods(count: number): Promise<V1Pod[]> {
  return until(`${count} running Pods`, async () => {
    const found = await pods()
    const running = found.filter((pod) => pod.status?.phase === 'Running' && pod.status.containerStatuses?.[0]?.started)
    return running.length === count ? running : undefined
  })
}

export async function ask<T = Record<string, string>>(pod: V1Pod | undefined, path: string): Promise<T> {
  const url = `http://${pod?.status?.podIP}:8080${path}`
  const response = await until('an answer', () =>
    fetch(url).catch((error) => (refused(error) ? undefined : Promise.reject(error))),
  )
  return (await response.json()) as T
}

function refused(error: Error): boolean {
  return String(error.cause).includes('ECONNREFUSED')
}

export function conditionsOf(pod: V1Pod | undefined): Record<string, string> {
  return Object.fromEntries((pod?.status?.conditions ?? []).map(({ type, status }) => [type, status]))
}

export function logsOf({ metadata }: V1Pod, container: string): string[] {
  const folder = join(node.logs, `${metadata?.namespace}_${metadata?.name}_${metadata?.uid}`, container)
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8'))
}

export function isAlive(pid: number): boolean {
  return startTime(pid) !== undefined
}

export async function until<T>(what: string, check: () => T | Promise<T>): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + 90_000
  for (;;) {
    const found = await check()
    if (found) return found as NonNullable<Exclude<T, false>>
    if (performance.now() > deadline)
      throw new Error(`waited 90 s in vain for ${what}; the node said: ${lines.join(' | ')}`)
    await sleep(100)
  }
}
