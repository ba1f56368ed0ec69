import { createHash } from 'node:crypto'
import type { LoginInput } from '@tenantry/engines/model.ts'

const NAME_MAX = 253
const SUFFIX = { ReadWrite: '', ReadOnly: '-ro' } as const

/** Name of the Secret of one login: as asked for or `<tenant>-<entry>`, with `-ro` for the login that can only read. */
export function secretName(
  tenant: string,
  { name, entry }: { readonly name: string; readonly entry: { readonly secretName?: string | undefined } | undefined },
  access: LoginInput['access'],
): string {
  const full = `${entry?.secretName ?? `${tenant}-${name}`}${SUFFIX[access]}`
  if (full.length <= NAME_MAX) return full
  const hash = createHash('sha256').update(full).digest('hex').slice(0, 8)
  return `${full.slice(0, NAME_MAX - hash.length - 1).replace(/[-.]+$/, '')}-${hash}`
}
