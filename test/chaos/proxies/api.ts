import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Agent, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { KubeConfig } from '@kubernetes/client-node'
import type { Gate, Storm } from '../gate.ts'
import type { Relay } from './listen.ts'

export interface ApiProxy extends Relay {
  /** Text of a kubeconfig that leads here. */
  readonly kubeconfig: string
  watches(how: 'cut' | 'garble' | 'gone' | 'half-open'): void
  /** Every body that was sent, to look for secrets in and to learn them from. */
  onWrite(listener: (write: { path: string; body: string }) => void): void
}

interface OpenWatch {
  readonly path: string
  readonly outgoing: ServerResponse
  /** Nothing is passed on, and the connection stays open. */
  deaf: boolean
  /** Every event is passed on as a line that is none. */
  garbled: boolean
}

/** All watches, and the resources whose history is forgotten: a watch of them cannot be continued, only begun. */
interface Watches {
  readonly open: Set<OpenWatch>
  readonly forgotten: Set<string>
}

const GARBLED_MS = 1_500
const GARBAGE = '{"type":"MODIFIED","object":{"metadata":{"na\n'
const GONE = JSON.stringify({
  type: 'ERROR',
  object: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Expired', code: 410, message: 'too old' },
})
const REASONS = { 409: 'Conflict', 429: 'TooManyRequests', 500: 'InternalError', 504: 'Timeout' } as const
/** What the operator writes about itself, at times of its own: neither a fault point nor a write that counts. */
const ABOUT_ITSELF = /\/(events|leases)(\/|\?|$)/

/** A fault proxy for the Kubernetes API: ends TLS and adds an administrator's credentials. */
export async function openApiProxy(gate: Gate, upstream: KubeConfig): Promise<ApiProxy> {
  const watches: Watches = { open: new Set(), forgotten: new Set() }
  const listeners: ((write: { path: string; body: string }) => void)[] = []
  const forward = await forwarder(upstream)
  const server = createServer((incoming, outgoing) => {
    if (gate.weather('api') === 'refusing') return void incoming.socket.resetAndDestroy()
    const path = incoming.url ?? '/'
    const reading = incoming.method === 'GET'
    const served = reading
      ? read({ gate, forward, watches }, incoming, outgoing)
      : write({ gate, forward, told: (body) => tellAll(listeners, { path, body }) }, incoming, outgoing)
    served.catch(() => incoming.socket.resetAndDestroy())
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    port,
    kubeconfig: kubeconfigFor(port),
    onWrite: (listener) => void listeners.push(listener),
    watches: (how) => {
      for (const watch of watches.open) disturb(watches, watch, how)
    },
    disconnect: () => server.closeAllConnections(),
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

type Told = { readonly path: string; readonly body: string }

function tellAll(listeners: readonly ((write: Told) => void)[], write: Told): void {
  for (const tell of listeners) tell(write)
}

function disturb({ forgotten }: Watches, watch: OpenWatch, how: 'cut' | 'garble' | 'gone' | 'half-open'): void {
  const { outgoing, path } = watch
  if (how === 'half-open') watch.deaf = true
  else if (how === 'cut') outgoing.destroy()
  else if (how === 'gone') {
    forgotten.add(path)
    outgoing.end(`${GONE}\n`)
  } else {
    watch.garbled = true
    setTimeout(() => {
      watch.garbled = false
    }, GARBLED_MS)
  }
}

type Forward = (incoming: IncomingMessage, body?: Buffer) => Promise<IncomingMessage>

async function forwarder(upstream: KubeConfig): Promise<Forward> {
  const options: { headers: Record<string, string>; ca?: unknown } = { headers: {} }
  await upstream.applyToHTTPSOptions(options as never)
  const agent = new Agent({ keepAlive: true, ca: options.ca as string, maxSockets: 256 })
  const origin = upstream.getCurrentCluster()?.server ?? ''
  return (incoming, body) =>
    new Promise((resolve, fail) => {
      const { host: _host, connection: _connection, 'transfer-encoding': _chunked, ...headers } = incoming.headers
      const length = body && { 'content-length': String(body.length) }
      const call = request(new URL(incoming.url ?? '/', origin), {
        agent,
        method: incoming.method,
        headers: { ...headers, ...options.headers, ...length } as Record<string, string>,
      })
      call.once('error', fail)
      call.once('response', resolve)
      call.end(body)
    })
}

interface Reading {
  readonly gate: Gate
  readonly forward: Forward
  readonly watches: Watches
}

async function read(
  { gate, forward, watches }: Reading,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const storm = await stormOf(gate)
  if (storm !== undefined && storm !== 409) return refuse(outgoing, storm)
  const url = new URL(incoming.url ?? '/', 'http://api')
  const isWatch = url.searchParams.get('watch') === 'true'
  const isBegun = !isWatch || url.searchParams.has('sendInitialEvents')
  if (isBegun) watches.forgotten.delete(url.pathname)
  else if (watches.forgotten.has(url.pathname)) return void outgoing.end(`${GONE}\n`)
  const response = await forward(incoming)
  outgoing.writeHead(response.statusCode ?? 502, response.headers)
  outgoing.flushHeaders()
  response.on('error', () => outgoing.destroy())
  outgoing.once('close', () => response.destroy())
  if (isWatch) stream(watches, { path: url.pathname, outgoing, deaf: false, garbled: false }, response)
  else response.pipe(outgoing)
}

function stream({ open }: Watches, watch: OpenWatch, response: IncomingMessage): void {
  const { outgoing } = watch
  open.add(watch)
  outgoing.on('close', () => open.delete(watch))
  response.on('data', (chunk: Buffer) => {
    if (!watch.deaf && !outgoing.writableEnded) outgoing.write(watch.garbled ? GARBAGE : chunk)
  })
  response.on('end', () => {
    if (!watch.deaf) outgoing.end()
  })
}

interface Way {
  readonly gate: Gate
  readonly forward: Forward
  readonly told: (body: string) => void
}

async function write({ gate, forward, told }: Way, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const body = await bodyOf(incoming)
  const path = incoming.url ?? '/'
  told(body.toString('utf8'))
  const passage = ABOUT_ITSELF.test(path) ? undefined : gate.arrive('api', `${incoming.method} ${describe(path, body)}`)
  const action = (await passage?.ahead()) ?? 'pass'
  if (action === 'drop') return void incoming.socket.resetAndDestroy()
  const storm = await stormOf(gate)
  if (storm !== undefined && storm !== 504) return refuse(outgoing, storm)
  const response = await forward(incoming, body)
  const answer = await bodyOf(response)
  const after = await passage?.behind((response.statusCode ?? 500) < 300)
  if (after === 'drop') return void incoming.socket.resetAndDestroy()
  if (storm !== undefined) return refuse(outgoing, storm)
  passOn(response, answer, outgoing)
}

function passOn({ headers, statusCode = 502 }: IncomingMessage, body: Buffer, outgoing: ServerResponse): void {
  const { 'transfer-encoding': _chunked, ...kept } = headers
  outgoing.writeHead(statusCode, { ...kept, 'content-length': String(body.length) })
  outgoing.end(body)
}

/** `tenants/status ns/name`; who creates something says its name in the body. */
function describe(path: string, body: Buffer): string {
  const parts = (path.split('?')[0] ?? '').split('/')
  const at = parts.indexOf('namespaces')
  const [namespace = '', plural = '', name = '', subresource = ''] = at < 0 ? [] : parts.slice(at + 1)
  if (at < 0) return parts.join('/')
  return `${plural}${subresource ? `/${subresource}` : ''} ${namespace}/${name || nameIn(body)}`
}

function nameIn(body: Buffer): string {
  const { metadata = {} }: { metadata?: { name?: string } } = JSON.parse(body.toString('utf8') || '{}')
  return metadata.name ?? ''
}

/** Waits while the server hangs. */
async function stormOf(gate: Gate): Promise<Storm | undefined> {
  if (gate.weather('api') === 'hanging') await gate.fair('api')
  const weather = gate.weather('api')
  return typeof weather === 'number' ? weather : undefined
}

function refuse(outgoing: ServerResponse, code: Storm): void {
  const reason = REASONS[code]
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: `chaos says ${code}` }
  const later = code === 429 ? { 'retry-after': '1' } : {}
  outgoing.writeHead(code, { 'content-type': 'application/json', ...later })
  outgoing.end(JSON.stringify(body))
}

async function bodyOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function kubeconfigFor(port: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'chaos', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'chaos', user: {} }],
    contexts: [{ name: 'chaos', context: { cluster: 'chaos', user: 'chaos' } }],
    'current-context': 'chaos',
  })
}
