import { encodeMark } from '../../mark.ts'
import type { Owner } from '../../model.ts'

/** What statements need beside the change. */
export interface SqlContext {
  /** The ownership mark of the batch's owner. */
  readonly mark: (facts?: Readonly<Record<string, string>>) => string
  /** How every mark of the batch's owner begins, whatever its uid. */
  readonly markPrefix: string
  /** The shard's database. */
  readonly database: string
  /** Names of the extensions that a tenant's own database gets. */
  readonly extensions: readonly string[]
  /** The new verifier of a login, and its hash. */
  readonly verifier: (login: string) => NewVerifier
}

export interface NewVerifier {
  readonly verifier: string
  readonly hash: string
  /** Where the transaction keeps it as a setting, so that no statement that the server may remember has it in its text. */
  readonly setting?: string
}

export function contextFor(owner: Owner, rest: Pick<SqlContext, 'database' | 'extensions' | 'verifier'>): SqlContext {
  const mark = encodeMark(owner)
  return {
    ...rest,
    mark: (facts) => encodeMark(owner, facts),
    markPrefix: mark.slice(0, mark.lastIndexOf(',"uid":')),
  }
}

/** For people: neither secrets nor the mark's text. */
export const PREVIEW: SqlContext = {
  mark: () => 'tenantry:{…}',
  markPrefix: 'tenantry:{…',
  database: '',
  extensions: [],
  verifier: () => ({ verifier: '***', hash: '***' }),
}
