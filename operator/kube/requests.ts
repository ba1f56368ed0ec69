export type Verb = 'get' | 'list' | 'watch' | 'create' | 'apply' | 'patch' | 'delete'

/** One answered (or unanswered) request. Retries count each time. */
export interface RequestRecord {
  readonly verb: Verb
  /** `secrets`, `tenants.tenantry.dev`; with `/status` for a subresource. */
  readonly resource: string
  /** The HTTP method, as rest_client_requests_total wants it. */
  readonly method: string
  /** The HTTP status, or `error` when no answer came. */
  readonly code: string
  readonly host: string
  readonly durationMs: number
}

const WRITES: ReadonlySet<Verb> = new Set(['create', 'apply', 'patch', 'delete'])

/** Counts what was sent to the API server, so that "nothing was written" can be asserted. */
export interface RequestCounts {
  /** How many requests were sent that match every given field. */
  count(filter?: { verb?: Verb; resource?: string; code?: string }): number
  /** How many requests could have changed something. */
  writes(): number
  /** `"apply secrets 200" → 3`, for messages of failed assertions. */
  byKind(): Readonly<Record<string, number>>
}

/** Makes the counter of a client, and the function that feeds it. */
export function countRequests(): { counts: RequestCounts; record: (record: RequestRecord) => void } {
  const seen = new Map<string, { verb: Verb; resource: string; code: string; count: number }>()
  const sum = (matches: (entry: { verb: Verb; resource: string; code: string }) => boolean): number =>
    [...seen.values()].filter(matches).reduce((total, entry) => total + entry.count, 0)
  return {
    record: ({ verb, resource, code }) => {
      const key = `${verb} ${resource} ${code}`
      const entry = seen.get(key)
      if (entry) entry.count++
      else seen.set(key, { verb, resource, code, count: 1 })
    },
    counts: {
      count: ({ verb, resource, code } = {}) =>
        sum(
          (e) => (verb ?? e.verb) === e.verb && (resource ?? e.resource) === e.resource && (code ?? e.code) === e.code,
        ),
      writes: () => sum((entry) => WRITES.has(entry.verb)),
      byKind: () => Object.fromEntries([...seen].map(([key, entry]) => [key, entry.count])),
    },
  }
}
