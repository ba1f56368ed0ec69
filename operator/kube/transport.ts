import { createHash } from 'node:crypto'
import type { AgentOptions, RequestOptions } from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'
import { AppError } from '@tenantry/crds/errors.ts'
import { Agent, type buildConnector, type Dispatcher, ProxyAgent } from 'undici'
import type { Clock } from '../clock.ts'

/** One HTTP request to the API server. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Path with its query, from the root of the server. */
  readonly path: string
  readonly contentType?: string
  readonly body?: string
  readonly signal?: AbortSignal | undefined
  /** A watch is quiet for minutes: its body has no timeout of the transport's own. */
  readonly watch?: boolean
}

/** Carries requests over one pool of kept connections, with credentials that renew themselves. */
export interface Transport {
  /** The server's host and port, for metrics. */
  readonly host: string
  send(call: Call): Promise<Dispatcher.ResponseData>
  /** Forgets the credentials, so that the next request reads token files or runs the login command again. */
  renewCredentials(): void
  close(): Promise<void>
}

interface Session {
  readonly headers: Readonly<Record<string, string>>
  readonly fingerprint: string
  readonly dispatcher: Dispatcher
  readonly expiresAt: number
}

const CREDENTIALS_KEPT_MS = 5_000
const MOST_CONNECTIONS = 128
const CONNECT_TIMEOUT_MS = 10_000
const ANSWER_TIMEOUT_MS = 30_000
const WATCH_HEADERS_TIMEOUT_MS = 60_000
// Below the 90 s after which the API server closes an idle connection.
const IDLE_CONNECTION_MS = 60_000

/** Builds the transport for the current context of a loaded KubeConfig. Opens nothing until the first request. */
export function createTransport(kubeConfig: KubeConfig, clock: Clock): Transport {
  const cluster = kubeConfig.getCurrentCluster()
  if (!cluster) throw new AppError('Internal', 'connect to the Kubernetes API: the kubeconfig has no current cluster')
  const server = new URL(cluster.server)
  const basePath = server.pathname.replace(/\/+$/, '')
  const sessions = openSessions(kubeConfig, clock)
  return {
    host: server.host,
    send: async (call) => {
      const { dispatcher, headers } = await sessions.current()
      const type: Record<string, string> = call.contentType === undefined ? {} : { 'content-type': call.contentType }
      return dispatcher.request({
        origin: server.origin,
        path: basePath + call.path,
        method: call.method,
        headers: { accept: 'application/json', 'user-agent': 'tenantry', ...type, ...headers },
        body: call.body ?? null,
        signal: call.signal ?? null,
        headersTimeout: call.watch ? WATCH_HEADERS_TIMEOUT_MS : ANSWER_TIMEOUT_MS,
        bodyTimeout: call.watch ? 0 : ANSWER_TIMEOUT_MS,
      })
    },
    renewCredentials: sessions.renew,
    close: sessions.close,
  }
}

interface Sessions {
  current(): Promise<Session> | Session
  renew(): void
  close(): Promise<void>
}

function openSessions(kubeConfig: KubeConfig, clock: Clock): Sessions {
  let config = kubeConfig
  let session: Session | undefined
  let opening: Promise<Session> | undefined

  const open = async (): Promise<Session> => {
    const found = await credentialsOf(config)
    const reusable = session?.fingerprint === found.fingerprint ? session.dispatcher : undefined
    // Its watches may go on for minutes: they end by themselves, and only then is the old pool gone.
    if (session && !reusable) session.dispatcher.close().catch(() => undefined)
    const dispatcher = reusable ?? createDispatcher(config, found.tls)
    session = { ...found, dispatcher, expiresAt: clock.monotonic() + CREDENTIALS_KEPT_MS }
    return session
  }
  return {
    current: () => {
      if (session && clock.monotonic() < session.expiresAt) return session
      opening ??= open().finally(() => {
        opening = undefined
      })
      return opening
    },
    renew: () => {
      // A copy has empty token caches; the caches themselves cannot be reached.
      config = copyOf(config)
      if (session) session = { ...session, expiresAt: 0 }
    },
    close: async () => {
      await session?.dispatcher.destroy()
    },
  }
}

function copyOf(config: KubeConfig): KubeConfig {
  const copy = new KubeConfig()
  copy.loadFromOptions({
    clusters: config.clusters,
    users: config.users,
    contexts: config.contexts,
    currentContext: config.currentContext,
  })
  return copy
}

async function credentialsOf(
  config: KubeConfig,
): Promise<{ headers: Record<string, string>; tls: AgentOptions; fingerprint: string }> {
  const options: RequestOptions = { headers: {} }
  await config.applyToHTTPSOptions(options)
  const headers = Object.fromEntries(
    Object.entries(options.headers as Record<string, unknown>).map(([name, value]) => [name, String(value).trim()]),
  )
  if (options.auth) headers.Authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`
  const { ca, cert, key, servername, rejectUnauthorized } = options
  const parts = [ca, cert, key, servername, rejectUnauthorized].map(String)
  const tls = definedOf({ ca, cert, key, servername, rejectUnauthorized })
  return { headers, tls, fingerprint: createHash('sha256').update(JSON.stringify(parts)).digest('hex') }
}

function createDispatcher(config: KubeConfig, tls: AgentOptions): Dispatcher {
  const wanted = config.createDispatcherOptions(config.getCurrentCluster(), tls)
  const pool = {
    connections: MOST_CONNECTIONS,
    pipelining: 1,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    // One connection for everything would let one stalled watch hold up every other request.
    allowH2: false,
  }
  if (wanted.type === 'socks') {
    throw new AppError(
      'Unsupported',
      'connect to the Kubernetes API: SOCKS proxies are not supported, use an HTTP proxy',
    )
  }
  if (wanted.type === 'proxy')
    return new ProxyAgent({ ...pool, uri: wanted.uri, requestTls: wanted.requestTls as buildConnector.BuildOptions })
  const tlsOptions = wanted.type === 'agent' ? wanted.connect : {}
  return new Agent({
    ...pool,
    connect: { ...(tlsOptions as buildConnector.BuildOptions), timeout: CONNECT_TIMEOUT_MS, allowH2: false },
  })
}

function definedOf(options: AgentOptions): AgentOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
