import { AppError } from '@tenantry/crds/errors.ts'
import { type Clock, sleep } from '../clock.ts'
import type { Log } from '../telemetry/log.ts'
import { KubeError, refusal, type Status, unreachable } from './errors.ts'
import type { RequestRecord, Verb } from './requests.ts'
import type { Call, Transport } from './transport.ts'
import type { ResourceType } from './types.ts'

/** What a call is made with. */
export interface CallContext {
  readonly transport: Transport
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly onRequest: (record: RequestRecord) => void
}

export interface CallRequest {
  readonly verb: Verb
  readonly type: ResourceType
  /** For metrics: `secrets`, `tenants.tenantry.dev/status`. */
  readonly resource: string
  /** For messages: `apply secrets a/b`. */
  readonly doing: string
  /** `absentIs: 404` makes "there is none" an answer and no error. */
  readonly call: Call & { readonly absentIs?: 404 }
}

export interface Answer {
  readonly status: number
  /** The parsed body; undefined for a watch. */
  readonly body: unknown
  /** The body of a watch; empty for anything else. */
  readonly stream: AsyncIterable<Buffer>
}

const MOST_RETRIES = 5
const SHORTEST_WAIT_MS = 100
const LONGEST_WAIT_MS = 30_000

/** Sends a request, again where that is safe, and throws KubeError when it was refused or never answered. */
export async function callWithRetries(context: CallContext, request: CallRequest): Promise<Answer> {
  let history: History = { retries: 0, renewed: false }
  for (;;) {
    try {
      return await callOnce(context, request)
    } catch (error) {
      history = await beforeRetry(context, request, error, history)
    }
  }
}

interface History {
  readonly retries: number
  readonly renewed: boolean
}

// Waits as long as it should before the next attempt; throws where there should be none.
async function beforeRetry(ctx: CallContext, request: CallRequest, error: unknown, history: History): Promise<History> {
  const { signal } = request.call
  if (signal?.aborted) throw cancelled(request.doing, signal)
  if (!(error instanceof KubeError)) throw error
  if (error.status === 401 && !history.renewed) {
    ctx.transport.renewCredentials()
    return { ...history, renewed: true }
  }
  if (history.retries >= MOST_RETRIES || !mayRetry(request, error)) throw error
  const waitMs = waitBefore(history.retries, error, ctx.random)
  ctx.log.debug({ reason: error.message, waitMs }, 'waiting before a retry of a Kubernetes request')
  if (!(await sleep(ctx.clock, waitMs, signal))) throw cancelled(request.doing, signal)
  return { ...history, retries: history.retries + 1 }
}

// The server refuses with 429 before it does anything; after any other failure a write may have happened.
function mayRetry({ call }: CallRequest, { status }: KubeError): boolean {
  if (call.watch) return false
  if (status === 429) return true
  return call.method === 'GET' && (status === undefined || status >= 500)
}

function waitBefore(retries: number, { retryAfterMs }: KubeError, random: () => number): number {
  const jitter = 1 + random() / 4
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs * jitter, LONGEST_WAIT_MS)
  return Math.min(SHORTEST_WAIT_MS * 2 ** retries * jitter, LONGEST_WAIT_MS)
}

/** The error of a request that its own caller gave up. */
export function cancelled(doing: string, signal: AbortSignal | undefined): AppError {
  const reason: unknown = signal?.reason
  if (reason instanceof AppError) return reason
  return new KubeError('KubernetesUnavailable', `${doing}: cancelled`, { cause: reason })
}

async function callOnce(context: CallContext, request: CallRequest): Promise<Answer> {
  const { transport, clock, onRequest } = context
  const started = clock.monotonic()
  const { verb, resource, call, doing } = request
  let code = 'error'
  try {
    const response = await transport.send(call)
    code = String(response.statusCode)
    const answer = await readAnswer(response, call.watch === true && response.statusCode < 300)
    if (answer.status < 300 || answer.status === call.absentIs) return answer
    throw refusal(doing, request.type, statusOf(answer, response.headers['retry-after']), answer.status)
  } catch (error) {
    throw error instanceof AppError ? error : unreachable(doing, error)
  } finally {
    onRequest({
      verb,
      resource,
      method: call.method,
      code,
      host: transport.host,
      durationMs: clock.monotonic() - started,
    })
  }
}

async function readAnswer(response: Awaited<ReturnType<Transport['send']>>, streamed: boolean): Promise<Answer> {
  const status = response.statusCode
  if (streamed) return { status, body: undefined, stream: response.body }
  const text = await response.body.text()
  return { status, body: parse(text, status), stream: response.body }
}

function parse(text: string, status: number): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A proxy's refusal may be HTML: its status says enough. The parser's message quotes the body, which may be a Secret.
    if (status >= 300) return undefined
    throw new Error('the answer is not JSON')
  }
}

function statusOf(answer: Answer, retryAfter: string | string[] | undefined): Status {
  const status = typeof answer.body === 'object' && answer.body !== null ? (answer.body as Status) : {}
  const seconds = Number(retryAfter)
  if (retryAfter === undefined || !Number.isFinite(seconds) || seconds < 0) return status
  return { ...status, details: { ...status.details, retryAfterSeconds: seconds } }
}
