import { LOCK_TIMEOUT } from '../fence.ts'
import type { Site } from '../model.ts'
import { name } from '../sql/quote.ts'
import { sharedTableStatements } from '../sql/rows.ts'
import { defaultStatements, objectStatements, revokeOnSchema } from '../sql/schema.ts'

/** What makes owners or grants other than the schema's default privileges do, or makes statements out of strings. */
const TOUCHES_GRANTS = /\b(?:grant|revoke|owner|owned|privileges|execute|do|call)\b/i

/**
 * Brings owners, grants and row security to what they should be, within the transaction of a file that may have changed them.
 * For most files there is nothing to do: default privileges have seen to what they make.
 */
export function repairGrants(site: Site, body: string): readonly string[] {
  const list = site.shared ? sharedTableStatements(site) : ownStatements(site, body)
  return list.length === 0 ? [] : [LOCK_TIMEOUT, ...list]
}

function ownStatements(site: Site, body: string): readonly string[] {
  if (!TOUCHES_GRANTS.test(body)) return []
  const topics = { fresh: false, includes: () => true, changed: () => true, mentions: () => true }
  return [
    revokeOnSchema(site),
    `GRANT USAGE ON SCHEMA ${name(site.schema)} TO ${name(site.rw)}, ${name(site.ro)}`,
    ...defaultStatements({ kind: 'DefaultPrivileges', id: '', spec: { ...site, tables: true }, data: false }, topics),
    ...objectStatements(site),
  ]
}
