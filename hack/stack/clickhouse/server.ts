import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Answer, ClickHouseEngine } from './engine.ts'
import { asFailure, type ClickHouseFailure, failure, statusOf } from './failure.ts'
import { type ClickHouseRequest, headerOf, readRequest } from './request.ts'

/** The one user there is. */
export interface Access {
  readonly username: string
  readonly password: string
}

const NO_DATA_TO_INSERT = 108
const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [/EachRow/, 'application/x-ndjson; charset=UTF-8'],
  [/^JSON/, 'application/json; charset=UTF-8'],
  [/^CSV/, 'text/csv; charset=UTF-8; header=absent'],
  [/^(TabSeparated|TSV)/, 'text/tab-separated-values; charset=UTF-8'],
]

/**
 * ClickHouse's HTTP interface, as far as the official clients use it. Answers are buffered: a query's whole result is in
 * memory before its first byte is sent, and a client that goes away does not cancel its query.
 */
export function createClickHouseServer(engine: ClickHouseEngine, access: Access): Server {
  return createServer((message, response) => {
    void handle(engine, access, message, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined)
    })
  })
}

async function handle(engine: ClickHouseEngine, access: Access, message: IncomingMessage, response: ServerResponse) {
  const path = (message.url ?? '/').split('?')[0]
  if (path === '/ping') return endPlain(response, 200, 'Ok.\n')
  if (path !== '/') return endPlain(response, 404, `There is no handle ${path}\n`)
  try {
    authenticate(message, access)
    const request = await readRequest(message)
    response.setHeader('X-ClickHouse-Query-Id', request.queryId)
    response.setHeader('X-ClickHouse-Timezone', engine.timezone)
    await answer(engine, request, response)
  } catch (error) {
    endFailed(response, asFailure(error), engine.version)
  }
}

async function answer(engine: ClickHouseEngine, request: ClickHouseRequest, response: ServerResponse): Promise<void> {
  if (request.query === undefined) return endPlain(response, 200, 'Ok.\n')
  const result = await engine.run(request.query).catch((error: ClickHouseFailure) => {
    if (request.isEmptyInsert && error.code === NO_DATA_TO_INSERT) return NOTHING
    throw error
  })
  const { format } = request.query
  response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary(request, result)))
  response.setHeader('X-ClickHouse-Format', format)
  response.setHeader('Content-Type', CONTENT_TYPES.find(([pattern]) => pattern.test(format))?.[1] ?? 'text/plain')
  if (!request.gzipAnswer) return void response.end(result.bytes)
  response.setHeader('Content-Encoding', 'gzip')
  response.end(await promisify(gzip)(result.bytes))
}

const NOTHING: Answer = { bytes: new Uint8Array(), elapsed: 0, rowsRead: 0, bytesRead: 0 }

/**
 * Numbers are text, as in the real header. The engine tells the rows of its result alone: what a query reads is not known,
 * and what it writes is counted by lines of data.
 */
function summary({ isInsert, dataLines }: ClickHouseRequest, { elapsed, rowsRead, bytesRead }: Answer) {
  return {
    read_rows: String(isInsert ? dataLines : rowsRead),
    read_bytes: String(bytesRead),
    written_rows: String(dataLines),
    written_bytes: '0',
    total_rows_to_read: '0',
    result_rows: String(isInsert ? 0 : rowsRead),
    result_bytes: '0',
    elapsed_ns: String(Math.round(elapsed * 1e9)),
  }
}

function authenticate(message: IncomingMessage, access: Access): void {
  const given = credentials(message)
  const known = [given.username, given.password].map(digest)
  const right = [access.username, access.password].map(digest)
  if (known.every((part, index) => timingSafeEqual(part, right[index] ?? Buffer.alloc(part.length)))) return
  const reason = 'Authentication failed: password is incorrect, or there is no user with such name.'
  throw failure(516, 'AUTHENTICATION_FAILED', `${given.username}: ${reason}`)
}

function credentials(message: IncomingMessage): Access {
  const basic = /^Basic (.+)$/i.exec(headerOf(message, 'authorization') ?? '')?.[1]
  if (basic !== undefined) {
    const [username = '', ...password] = Buffer.from(basic, 'base64').toString('utf8').split(':')
    return { username, password: password.join(':') }
  }
  const { searchParams } = new URL(message.url ?? '/', 'http://localhost')
  return {
    username: headerOf(message, 'x-clickhouse-user') ?? searchParams.get('user') ?? 'default',
    password: headerOf(message, 'x-clickhouse-key') ?? searchParams.get('password') ?? '',
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function endPlain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=UTF-8' }).end(text)
}

function endFailed(response: ServerResponse, error: ClickHouseFailure, version: string): void {
  response.setHeader('X-ClickHouse-Exception-Code', String(error.code))
  endPlain(response, statusOf(error.code), `${error.message} (version ${version} (official build))\n`)
}
