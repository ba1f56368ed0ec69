import { type KubeError, refusal, type Status, unreachable } from './errors.ts'
import { apiVersionOf, type KubeObject, type ResourceType } from './types.ts'

/** One line of a watch. A BOOKMARK carries only `metadata.resourceVersion` and perhaps annotations. */
export interface WatchEvent<T extends KubeObject = KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: T
}

const NEWLINE = 0x0a
const TYPES: ReadonlySet<string> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'])

/**
 * Decodes a watch's body. Ends when the server closes it between two events. Throws KubeError for an ERROR event, for a
 * line that is cut off or is not an event (an event lost in silence would be a wrong cache), and for a broken connection.
 */
export async function* decodeWatch<T extends KubeObject>(
  doing: string,
  type: ResourceType<T>,
  body: AsyncIterable<Buffer>,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  for await (const line of splitLines(doing, body)) {
    if (line.length > 0) yield decodeEvent(doing, type, line)
  }
}

/** Makes an object as the server sent it fit to keep: no managedFields, and with the type that list items lack. */
export function tidy<T extends KubeObject>(type: ResourceType<T>, object: T): T {
  const { apiVersion = apiVersionOf(type), kind = type.kind, metadata } = object
  if (object.apiVersion !== undefined && !('managedFields' in metadata)) return object
  const { managedFields: _, ...kept } = metadata as T['metadata'] & { managedFields?: unknown }
  return { ...object, apiVersion, kind, metadata: kept }
}

async function* splitLines(doing: string, body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let pending: Buffer[] = []
  const chunks = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value: chunk } = await chunks.next().catch((cause) => {
        throw unreachable(doing, cause)
      })
      if (done) break
      let from = 0
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        pending.push(chunk.subarray(from, end))
        yield Buffer.concat(pending).toString('utf8')
        pending = []
        from = end + 1
      }
      if (from < chunk.length) pending.push(chunk.subarray(from))
    }
  } finally {
    await chunks.return?.().catch(() => undefined)
  }
  if (pending.length > 0) throw unreachable(doing, new Error('the stream was cut off in the middle of an event'))
}

function decodeEvent<T extends KubeObject>(doing: string, type: ResourceType<T>, line: string): WatchEvent<T> {
  const event = parse(line)
  if (event?.type === 'ERROR') throw fromErrorEvent(doing, type, event.object as Status)
  const object = event?.object as T | undefined
  if (!event || !TYPES.has(String(event.type)) || typeof object?.metadata?.resourceVersion !== 'string') {
    // The line itself stays out of the message: it may hold a Secret.
    throw unreachable(doing, new Error('the stream held a line that is not an event'))
  }
  return { type: event.type as WatchEvent['type'], object: tidy(type, object) }
}

function parse(line: string): { type?: unknown; object?: unknown } | undefined {
  try {
    return JSON.parse(line) ?? undefined
  } catch {
    return undefined
  }
}

function fromErrorEvent(doing: string, type: ResourceType, status: Status | undefined): KubeError {
  return refusal(doing, type, status ?? {}, status?.code ?? 500)
}
