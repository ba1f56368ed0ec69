import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'

/** What the proxy answers itself instead of asking the API server; `drop` breaks the connection without an answer. */
export type Answer =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: object | string }
  | 'drop'

/** A watch that goes through the proxy. */
export interface ProxiedWatch {
  readonly url: URL
  readonly ended: boolean
  /** Sends a line of the proxy's own. */
  inject(line: string): void
  /** Ends the stream in the orderly way, after `text` if given. */
  end(text?: string): void
  /** Breaks the connection. */
  drop(): void
  /** Lets the next event through by half and then ends the stream in the orderly way. */
  truncateNext(): void
  /** Keeps back what the server sends from now on: the connection stays open and silent. */
  hold(): void
  /** Sends on what was kept back. */
  release(): void
}

/** An API server with troubles: everything goes on to the real one, except what a test asks for. */
export interface FaultProxy {
  /** Reaches the real API server through the proxy, with the given credentials. */
  readonly kubeConfig: KubeConfig
  /** Every request so far, as `GET /api/v1/…`. */
  readonly requests: readonly string[]
  /** Watches under way, the latest last. */
  readonly watches: readonly ProxiedWatch[]
  /** Asked at every request; undefined lets it through. */
  answer: (method: string, url: URL) => Answer | undefined
  close(): Promise<void>
}

/** Starts a proxy in front of the API server of a kubeconfig. */
export async function openFaultProxy(upstream: KubeConfig): Promise<FaultProxy> {
  const requests: string[] = []
  const watches: Watch[] = []
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '/', 'http://proxy')
    const method = incoming.method ?? 'GET'
    requests.push(`${method} ${url.pathname}${url.search}`)
    const answer = proxy.answer(method, url)
    if (answer) {
      reply(outgoing, answer)
      return
    }
    const watch = url.searchParams.get('watch') === 'true' ? new Watch(url, outgoing) : undefined
    const opened = (): void => {
      if (watch) watches.push(watch)
    }
    forward(upstream, { incoming, outgoing, watch, opened }).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: FaultProxy = {
    kubeConfig: configFor((server.address() as AddressInfo).port),
    requests,
    get watches() {
      return watches.filter((watch) => !watch.ended)
    },
    answer: () => undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return proxy
}

function configFor(port: number): KubeConfig {
  const config = new KubeConfig()
  config.loadFromOptions({
    clusters: [{ name: 'proxy', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
    users: [{ name: 'nobody' }],
    contexts: [{ name: 'proxy', cluster: 'proxy', user: 'nobody' }],
    currentContext: 'proxy',
  })
  return config
}

function reply(outgoing: ServerResponse, answer: Answer): void {
  if (answer === 'drop') {
    outgoing.destroy()
    return
  }
  const { status, headers = {}, body = '' } = answer
  outgoing.writeHead(status, { 'content-type': 'application/json', ...headers })
  outgoing.end(typeof body === 'string' ? body : JSON.stringify(body))
}

interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly watch: Watch | undefined
  /** Called when the API server has begun to answer. */
  readonly opened: () => void
}

async function forward(upstream: KubeConfig, { incoming, outgoing, watch, opened }: Exchange): Promise<void> {
  const options: RequestOptions = { headers: {} }
  await upstream.applyToHTTPSOptions(options)
  const { host: _host, connection: _connection, ...headers } = incoming.headers
  const server = upstream.getCurrentCluster()?.server ?? ''
  const call = request(new URL(incoming.url ?? '/', server), {
    ...options,
    method: incoming.method,
    headers: { ...headers, ...(options.headers as Record<string, string>) },
  })
  call.on('error', () => outgoing.destroy())
  outgoing.on('close', () => call.destroy())
  call.on('response', (response) => {
    outgoing.writeHead(response.statusCode ?? 502, response.headers)
    outgoing.flushHeaders()
    opened()
    response.on('error', () => outgoing.destroy())
    if (watch) {
      response.on('data', (chunk: Buffer) => watch.relay(chunk))
      response.on('end', () => outgoing.end())
    } else response.pipe(outgoing)
  })
  incoming.pipe(call)
}

class Watch implements ProxiedWatch {
  readonly url: URL
  readonly #outgoing: ServerResponse
  #held: Buffer[] | undefined
  #truncate = false

  constructor(url: URL, outgoing: ServerResponse) {
    this.url = url
    this.#outgoing = outgoing
  }

  get ended(): boolean {
    return this.#outgoing.writableEnded || this.#outgoing.destroyed
  }

  relay(chunk: Buffer): void {
    if (this.#held) this.#held.push(chunk)
    else if (this.#truncate) this.#outgoing.end(chunk.subarray(0, chunk.length >> 1))
    else if (!this.ended) this.#outgoing.write(chunk)
  }

  inject(line: string): void {
    this.#outgoing.write(`${line}\n`)
  }

  end(text?: string): void {
    this.#outgoing.end(text)
  }

  drop(): void {
    this.#outgoing.destroy()
  }

  truncateNext(): void {
    this.#truncate = true
  }

  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const chunk of held) this.relay(chunk)
  }
}
