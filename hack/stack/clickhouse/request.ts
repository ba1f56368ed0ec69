import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import type { Query } from './engine.ts'
import { failure } from './failure.ts'
import { inspect } from './statement.ts'

/** A request of the HTTP interface, read as the real server reads it. */
export interface ClickHouseRequest {
  readonly queryId: string
  /** Undefined when the request names no query at all. */
  readonly query: Query | undefined
  readonly isInsert: boolean
  /** Lines of the data sent beside the query that hold something: the rows of an insert in a line-based format. */
  readonly dataLines: number
  /** True when the request carries no data beside an INSERT that expects some. */
  readonly isEmptyInsert: boolean
  readonly gzipAnswer: boolean
}

const MAX_BODY_BYTES = 384 * 1024 * 1024
/** Parameters of the address that are not settings, and settings that mean something to the HTTP interface alone. */
const NOT_SETTINGS = new Set([
  ...['query', 'database', 'default_format', 'query_id', 'session_id', 'session_timeout', 'session_check', 'user'],
  ...['password', 'quota_key', 'role', 'compress', 'decompress', 'stacktrace', 'buffer_size', 'wait_end_of_query'],
  ...['client_protocol_version', 'close_session', 'enable_http_compression', 'send_progress_in_http_headers'],
  ...['http_headers_progress_interval_ms', 'http_response_buffer_size', 'http_zlib_compression_level'],
])
const DECODERS: Readonly<Record<string, () => NodeJS.ReadWriteStream & Readable>> = {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}

/** Reads the whole request; throws a ClickHouseFailure for one that cannot be served. */
export async function readRequest(message: IncomingMessage): Promise<ClickHouseRequest> {
  const { searchParams } = new URL(message.url ?? '/', 'http://localhost')
  const body = await readBody(message)
  const inAddress = searchParams.get('query') ?? ''
  const sql = [inAddress, body].filter((part) => part !== '').join('\n')
  const { isInsert, format } = inspect(sql)
  const separate = inAddress === '' ? '' : body
  const queryFormat = isInsert ? undefined : format
  return {
    queryId: searchParams.get('query_id') || randomUUID(),
    query: sql === '' ? undefined : toQuery(sql, queryFormat, searchParams, message),
    isInsert,
    dataLines: isInsert ? separate.split('\n').filter((line) => line.trim() !== '').length : 0,
    isEmptyInsert: isInsert && inAddress !== '' && body.trim() === '',
    gzipAnswer: wantsGzip(searchParams, message),
  }
}

function toQuery(sql: string, format: string | undefined, address: URLSearchParams, message: IncomingMessage): Query {
  const pairs = [...address]
  const settings = pairs.filter(([name]) => !NOT_SETTINGS.has(name) && !name.startsWith('param_'))
  const sessionId = address.get('session_id')
  const format_ = format ?? address.get('default_format') ?? headerOf(message, 'x-clickhouse-format') ?? 'TabSeparated'
  return {
    sql,
    format: format_,
    database: address.get('database') || headerOf(message, 'x-clickhouse-database') || undefined,
    settings: message.method === 'GET' ? [...settings, ['readonly', '2']] : settings,
    params: pairs.filter(([name]) => name.startsWith('param_')).map(([name, value]) => [name.slice(6), value] as const),
    session: sessionId ? { id: sessionId, timeoutSeconds: Number(address.get('session_timeout') ?? 60) } : undefined,
  }
}

function wantsGzip(address: URLSearchParams, message: IncomingMessage): boolean {
  const accepted = headerOf(message, 'accept-encoding') ?? ''
  return address.get('enable_http_compression') === '1' && accepted.includes('gzip')
}

async function readBody(message: IncomingMessage): Promise<string> {
  const encoding = headerOf(message, 'content-encoding')
  const decoder = encoding === undefined ? undefined : DECODERS[encoding]?.()
  if (encoding !== undefined && decoder === undefined) {
    throw failure(48, 'NOT_IMPLEMENTED', `Content-Encoding ${encoding} is not supported.`)
  }
  const source = decoder === undefined ? message : message.pipe(decoder)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of source as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw failure(307, 'TOO_MANY_BYTES', `The body is longer than ${MAX_BODY_BYTES} bytes.`)
    chunks.push(chunk)
  }
  return asText(Buffer.concat(chunks))
}

/** chdb takes its data as text; a binary format would arrive damaged, so it is refused. */
function asText(body: Buffer): string {
  const text = body.toString('utf8')
  if (Buffer.byteLength(text) === body.length && !text.includes('\uFFFD')) return text
  if (Buffer.from(text).equals(body)) return text
  throw failure(48, 'NOT_IMPLEMENTED', 'The embedded ClickHouse takes data in text formats alone, encoded in UTF-8.')
}

export function headerOf(message: IncomingMessage, name: string): string | undefined {
  const value = message.headers[name]
  return Array.isArray(value) ? value[0] : value
}
