import type { Owner } from './model.ts'

/** What we write on every engine object that we make: as a COMMENT in Postgres and ClickHouse, in a registry hash in Redis. */
export interface Mark extends Owner {
  /** Engine-specific facts that make drift visible without reading secrets, such as a credential's fingerprint. */
  readonly facts: Readonly<Record<string, string>>
}

const PREFIX = 'tenantry:'

/** One line of JSON behind a fixed prefix, keys in a fixed order, so that equal marks are equal strings. */
export function encodeMark(owner: Owner, facts: Readonly<Record<string, string>> = {}): string {
  const { installation, kind, namespace, name, uid } = owner
  const sorted = Object.fromEntries(Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1)))
  return (
    PREFIX +
    JSON.stringify({
      installation,
      kind,
      namespace,
      name,
      uid,
      ...(Object.keys(sorted).length > 0 && { facts: sorted }),
    })
  )
}

/** Undefined for anything that is not one of our marks, however malformed. */
export function decodeMark(text: string | null | undefined): Mark | undefined {
  if (!text?.startsWith(PREFIX)) return undefined
  try {
    const value: unknown = JSON.parse(text.slice(PREFIX.length))
    return isMark(value) ? { ...value, facts: value.facts ?? {} } : undefined
  } catch {
    return undefined
  }
}

function isMark(value: unknown): value is Owner & { facts?: Record<string, string> } {
  if (typeof value !== 'object' || value === null) return false
  const v = value as Record<string, unknown>
  return (['installation', 'kind', 'namespace', 'name', 'uid'] as const).every((key) => typeof v[key] === 'string')
}

/** Equal but for the uid: the same object by name, perhaps re-created. */
export function sameOwner(a: Owner, b: Owner): boolean {
  return a.installation === b.installation && a.kind === b.kind && a.namespace === b.namespace && a.name === b.name
}
