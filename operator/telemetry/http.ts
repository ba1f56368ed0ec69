import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Registry } from 'prom-client'
import type { Authorize, Verdict } from './authorize.ts'
import { debugRoutes } from './debug.ts'

export interface TelemetryOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly registry: Registry
  /** True, or why not: what /readyz says. */
  readonly ready: () => true | string
  /** Decides who may read profiles. Absent: nobody. */
  readonly authorize?: Authorize
  /** Whether /metrics too is only for those whom `authorize` lets in. */
  readonly metricsAuth?: boolean
  /** Whether heap snapshots, which hold secrets, may be taken by those whom `authorize` lets in. */
  readonly heapSnapshots?: boolean
}

/** A server that is listening. */
export interface TelemetryServer {
  readonly port: number
  /** Answers what has been asked, takes nothing more, and resolves when every connection is closed. */
  close(): Promise<void>
}

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string | Readable
  readonly headers?: Readonly<Record<string, string>>
}

const TEXT = 'text/plain; charset=utf-8'
const CLOSE_GRACE_MS = 1_000

/**
 * Serves /metrics, /healthz (the process lives: it says so itself, and asks no server), /readyz (200 or 503 with the
 * reason) and profiles below /debug/pprof. Rejects when the address cannot be bound.
 */
export async function serve(options: TelemetryOptions): Promise<TelemetryServer> {
  const site = { routes: routesOf(options), authorize: options.authorize }
  const server = createServer((request, response) => {
    answerTo(site, request, whenGone(response))
      .catch((): Answer => ({ status: 500, type: TEXT, body: 'internal error\n' }))
      .then((answer) => respond(request, response, answer))
      .catch(() => response.destroy())
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(options.port, options.host, resolve)
  await promise
  return { port: (server.address() as AddressInfo).port, close: () => close(server) }
}

interface Route {
  /** Only for those whom the Kubernetes API lets in. */
  readonly guarded: boolean
  readonly methods: readonly string[]
  answer(query: URLSearchParams, gone: AbortSignal): Promise<Answer> | Answer
}

const READ = ['GET', 'HEAD']

function routesOf(options: TelemetryOptions): ReadonlyMap<string, Route> {
  const { registry, metricsAuth = false, heapSnapshots = false } = options
  const metrics = async (): Promise<Answer> => ({
    status: 200,
    type: registry.contentType,
    body: await registry.metrics(),
  })
  const routes = new Map<string, Route>([
    ['/metrics', { guarded: metricsAuth, methods: READ, answer: metrics }],
    ['/healthz', { guarded: false, methods: READ, answer: () => ({ status: 200, type: TEXT, body: 'ok\n' }) }],
    ['/readyz', { guarded: false, methods: READ, answer: () => readiness(options) }],
  ])
  for (const [path, answer] of debugRoutes({ heapSnapshots })) {
    routes.set(path, { guarded: true, methods: ['GET'], answer })
  }
  return routes
}

function whenGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return gone.signal
}

async function answerTo(
  { routes, authorize }: { routes: ReadonlyMap<string, Route>; authorize: Authorize | undefined },
  { method = '', url = '/', headers }: IncomingMessage,
  gone: AbortSignal,
): Promise<Answer> {
  const path = url.split('?', 1)[0] ?? '/'
  const route = routes.get(path)
  if (!(route?.methods ?? READ).includes(method)) return { status: 405, type: TEXT, body: 'only reading is possible\n' }
  if (!route) return { status: 404, type: TEXT, body: 'not found\n' }
  const refused = route.guarded ? await refuse(authorize, headers.authorization, path) : undefined
  return refused ?? (await route.answer(new URLSearchParams(url.slice(path.length + 1)), gone))
}

function readiness({ ready }: TelemetryOptions): Answer {
  const state = ready()
  return state === true ? { status: 200, type: TEXT, body: 'ok\n' } : { status: 503, type: TEXT, body: `${state}\n` }
}

const REFUSALS: Readonly<Record<Exclude<Verdict, 'allowed'>, Answer>> = {
  unauthenticated: {
    status: 401,
    type: TEXT,
    body: 'send the bearer token of somebody whom the Kubernetes API knows\n',
    headers: { 'www-authenticate': 'Bearer' },
  },
  forbidden: { status: 403, type: TEXT, body: 'the Kubernetes API does not let you get this nonResourceURL\n' },
}

async function refuse(
  authorize: Authorize | undefined,
  authorization: string | undefined,
  path: string,
): Promise<Answer | undefined> {
  if (!authorize) return REFUSALS.forbidden
  try {
    const verdict = await authorize(authorization, path)
    return verdict === 'allowed' ? undefined : REFUSALS[verdict]
  } catch {
    return { status: 503, type: TEXT, body: 'the Kubernetes API cannot tell now who may read this\n' }
  }
}

async function respond({ method }: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const { status, type, body, headers = {} } = answer
  const length = typeof body === 'string' ? { 'content-length': Buffer.byteLength(body) } : {}
  response.writeHead(status, { 'content-type': type, ...length, 'cache-control': 'no-store', ...headers })
  if (typeof body !== 'string') await pipeline(body, response)
  else response.end(method === 'HEAD' ? undefined : body)
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // A client that never finishes its request must not keep the process.
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
}
