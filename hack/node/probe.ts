import { execFile } from 'node:child_process'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Environment } from './environment.ts'
import type { Container, Handler, Probe } from './types.ts'

/** Where a handler acts. */
export interface HandlerContext {
  readonly container: Container
  readonly address: string
  readonly env: Environment
  readonly cwd: string
}

/** Told of each change of a probe's verdict and of the first one. */
export type OnVerdict = (healthy: boolean, detail: string) => void

const SECOND = 1000

/**
 * Asks again and again until `signal` aborts. The verdict changes after `successThreshold` successes or `failureThreshold`
 * failures in a row. With `eager` it asks every second until the first success, so that nobody waits a whole period.
 */
export async function watchProbe(
  probe: Probe,
  context: HandlerContext,
  { onVerdict, eager, signal }: { onVerdict: OnVerdict; eager: boolean; signal: AbortSignal },
): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = 10, timeoutSeconds = 1 } = probe
  const judge = createJudge(probe)
  let hurry = eager
  await pause(initialDelaySeconds, signal)
  while (!signal.aborted) {
    const failure = await act(probe, context, timeoutSeconds)
    if (signal.aborted) return
    const verdict = judge(failure === undefined)
    if (verdict === true) hurry = false
    if (verdict !== undefined) onVerdict(verdict, failure ?? '')
    await pause(hurry ? Math.min(1, periodSeconds) : periodSeconds, signal)
  }
}

/** Turns single answers into verdicts: gives one when it is new, undefined otherwise. */
function createJudge({ successThreshold = 1, failureThreshold = 3 }: Probe): (healthy: boolean) => boolean | undefined {
  let verdict: boolean | undefined
  let last: boolean | undefined
  let streak = 0
  return (healthy) => {
    streak = healthy === last ? streak + 1 : 1
    last = healthy
    if (healthy === verdict || streak < (healthy ? successThreshold : failureThreshold)) return undefined
    verdict = healthy
    return healthy
  }
}

function pause(seconds: number, signal: AbortSignal): Promise<unknown> {
  return sleep(seconds * SECOND, undefined, { signal }).catch(() => undefined)
}

/** Does what a handler says once. Resolves to why it failed, or undefined. */
export async function act(
  handler: Handler,
  context: HandlerContext,
  timeoutSeconds: number,
): Promise<string | undefined> {
  try {
    const timeout = timeoutSeconds * SECOND
    if (handler.httpGet) await httpGet(handler.httpGet, context, timeout)
    else if (handler.tcpSocket) await tcpConnect(handler.tcpSocket, context, timeout)
    else if (handler.exec) await execute(handler.exec.command ?? [], context, timeout)
    else if (handler.sleep) await sleep(handler.sleep.seconds * SECOND)
    else return 'this node supports httpGet, tcpSocket and exec only'
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function portOf(port: number | string, { container }: HandlerContext): number {
  const named = container.ports?.find(({ name }) => name === port)?.containerPort
  return named ?? Number(port)
}

function httpGet(target: NonNullable<Handler['httpGet']>, context: HandlerContext, timeout: number): Promise<void> {
  const secure = target.scheme === 'HTTPS'
  const headers = Object.fromEntries((target.httpHeaders ?? []).map(({ name, value }) => [name, value]))
  const options = {
    host: target.host ?? context.address,
    port: portOf(target.port, context),
    path: target.path ?? '/',
    headers: { 'user-agent': 'kube-probe/tenantry', ...headers },
    agent: false,
    signal: AbortSignal.timeout(timeout),
  } as const
  return new Promise((resolve, reject) => {
    const sent = secure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options)
    sent.once('error', (error) => reject(new Error(`HTTP probe failed: ${error.message}`)))
    sent.once('response', (response) => {
      const status = response.statusCode ?? 0
      response.destroy()
      if (status >= 200 && status < 400) resolve()
      else reject(new Error(`HTTP probe failed with status code ${status}`))
    })
    sent.end()
  })
}

function tcpConnect(
  target: NonNullable<Handler['tcpSocket']>,
  context: HandlerContext,
  timeout: number,
): Promise<void> {
  const socket = connect({ host: target.host ?? context.address, port: portOf(target.port, context) })
  return new Promise<void>((resolve, reject) => {
    socket.setTimeout(timeout, () => reject(new Error('TCP probe timed out')))
    socket.once('error', reject)
    socket.once('connect', resolve)
  }).finally(() => socket.destroy())
}

async function execute(command: readonly string[], { env, cwd }: HandlerContext, timeout: number): Promise<void> {
  const [program = '', ...parameters] = command
  await promisify(execFile)(program, parameters, { env: { ...env }, cwd, timeout, killSignal: 'SIGKILL' })
}
