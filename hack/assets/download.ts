import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { basename } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { EnvHttpProxyAgent, fetch, type Response } from 'undici'
import { type Log, startProgress } from './progress.ts'

/**
 * Why a download failed: the server gave no answer at all, it broke off in the middle, or what it has is of no use. The
 * first makes every other file there idle to ask for, the second is worth another try.
 */
export type DownloadFailure = 'unreachable' | 'interrupted' | 'unusable'

/** A download that failed, with a message that names the address and the cause. */
export class DownloadError extends Error {
  readonly failure: DownloadFailure

  constructor(failure: DownloadFailure, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'DownloadError'
    this.failure = failure
  }
}

/**
 * `env` names the proxies, as `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` in either case. `stallMs` is how long a server may
 * send nothing before the download is given up; 30 seconds unless said otherwise.
 */
export interface DownloadOptions {
  readonly log: Log
  readonly env: NodeJS.ProcessEnv
  readonly stallMs?: number
  readonly signal?: AbortSignal | undefined
}

interface Source {
  readonly url: string
  /** Where the publisher lists SHA-256 sums: the bare sum, or lines of "sum  file". */
  readonly sums: string
}

const STALL_MS = 30_000

/** Downloads a file to `path` and verifies its published SHA-256. Rejects with a DownloadError; `path` may then be partial. */
export async function download(source: Source, path: string, options: DownloadOptions): Promise<void> {
  const wanted = findSum(await readText(source.sums, options), basename(source.url))
  if (wanted === undefined)
    throw new DownloadError('unusable', `${source.sums} holds no SHA-256 of ${basename(source.url)}`)
  const found = await save(source.url, path, options)
  if (found !== wanted) {
    throw new DownloadError('unusable', `${source.url} has the SHA-256 ${found} and not the published ${wanted}`)
  }
}

function findSum(text: string, file: string): string | undefined {
  for (const line of text.split('\n')) {
    const [sum, name] = line.trim().split(/\s+\*?/)
    if (sum !== undefined && /^[0-9a-f]{64}$/.test(sum) && (name === undefined || name === file)) return sum
  }
  return undefined
}

function readText(url: string, options: DownloadOptions): Promise<string> {
  return request(url, options, (response) => response.text())
}

function save(url: string, path: string, options: DownloadOptions): Promise<string> {
  return request(url, options, async (response, alive) => {
    const total = Number(response.headers.get('content-length'))
    const hash = createHash('sha256')
    let bytes = 0
    const count = new Transform({
      transform(chunk, _encoding, done) {
        alive()
        bytes += chunk.length
        hash.update(chunk)
        done(null, chunk)
      },
    })
    using _ = startProgress(() => `${basename(url)}: ${megabytes(bytes)}${percent(bytes, total)}`, options.log)
    await pipeline(response.body ?? Readable.from([]), count, createWriteStream(path))
    return hash.digest('hex')
  })
}

/** Sends a GET and reads the answer with `read`, which calls `alive` whenever data came in. */
async function request<T>(
  url: string,
  { stallMs = STALL_MS, signal, env }: DownloadOptions,
  read: (response: Response, alive: () => void) => Promise<T>,
): Promise<T> {
  const stalled = new AbortController()
  const timer = setTimeout(() => stalled.abort(new Error(`it sent nothing for ${stallMs / 1000} s`)), stallMs)
  const dispatcher = new EnvHttpProxyAgent(proxiesOf(env))
  let failure: DownloadFailure = 'unreachable'
  try {
    const signals = signal ? [stalled.signal, signal] : [stalled.signal]
    const response = await fetch(url, { signal: AbortSignal.any(signals), dispatcher })
    failure = 'interrupted'
    if (!response.ok) throw refusal(url, response.status)
    return await read(response, () => timer.refresh())
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof DownloadError) throw error
    const what = failure === 'unreachable' ? 'could not be reached' : 'broke off'
    throw new DownloadError(failure, `${url} ${what}: ${describe(stalled.signal.reason ?? error)}`, error)
  } finally {
    clearTimeout(timer)
    void dispatcher.destroy()
  }
}

function proxiesOf(env: NodeJS.ProcessEnv) {
  return {
    httpProxy: env.http_proxy ?? env.HTTP_PROXY ?? '',
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY ?? '',
    noProxy: env.no_proxy ?? env.NO_PROXY ?? '',
  }
}

function refusal(url: string, status: number): DownloadError {
  return new DownloadError(status >= 500 ? 'unreachable' : 'unusable', `${url} answered ${status}`)
}

function describe(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error ? cause.message : String(cause)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

function percent(bytes: number, total: number): string {
  return total > 0 ? ` of ${megabytes(total)} (${Math.floor((100 * bytes) / total)} %)` : ''
}
