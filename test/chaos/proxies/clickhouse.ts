import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Gate } from '../gate.ts'
import type { Relay, Upstream } from './listen.ts'

const READS = /^\s*(SELECT|SHOW|EXISTS|DESC|DESCRIBE|WITH|EXPLAIN|CHECK)\b/i
const MOST_TEXT = 120

/** A fault proxy for ClickHouse's HTTP interface. */
export async function openClickHouseProxy(gate: Gate, upstream: Upstream): Promise<Relay> {
  const server = createServer((incoming, outgoing) => {
    serve(gate, upstream, incoming, outgoing).catch(() => outgoing.socket?.resetAndDestroy())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    disconnect: () => server.closeAllConnections(),
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

async function serve(
  gate: Gate,
  upstream: Upstream,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  if (gate.weather('clickhouse') === 'refusing') return void outgoing.socket?.resetAndDestroy()
  const body = await bodyOf(incoming)
  const statement = `${new URL(incoming.url ?? '/', 'http://c').searchParams.get('query') ?? ''}${body.toString('utf8')}`
  const isWrite = incoming.method === 'POST' && !READS.test(statement)
  const passage = isWrite ? gate.arrive('clickhouse', nameOf(statement)) : undefined
  if (passage && (await passage.ahead()) === 'drop') return void outgoing.socket?.resetAndDestroy()
  if (gate.weather('clickhouse') === 'hanging') await gate.fair('clickhouse')
  const answer = await ask(upstream, incoming, body)
  if (passage && (await passage.behind(answer.status < 300)) === 'drop') return void outgoing.socket?.resetAndDestroy()
  outgoing.writeHead(answer.status, answer.headers)
  outgoing.end(answer.body)
}

function nameOf(statement: string): string {
  return statement
    .replace(/'tenantry:(?:[^'\\]|\\.)*'/g, "'mark'")
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, MOST_TEXT)
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

function ask({ host, port }: Upstream, { url, method, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
  return new Promise((resolve, fail) => {
    const { 'transfer-encoding': _chunked, ...kept } = headers
    const length = { 'content-length': String(body.length) }
    const call = request({ host, port, path: url, method, headers: { ...kept, ...length } })
    call.once('error', fail)
    call.once('response', (response) => {
      bodyOf(response).then((bytes) => {
        const { 'transfer-encoding': _gone, ...rest } = response.headers
        resolve({ status: response.statusCode ?? 502, headers: rest, body: bytes })
      }, fail)
    })
    call.end(body)
  })
}

async function bodyOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
