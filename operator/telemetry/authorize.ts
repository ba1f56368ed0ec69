import { createHash } from 'node:crypto'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Clock } from '../clock.ts'
import type { KubeClient } from '../kube/client.ts'
import { SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, type UserInfo } from '../kube/types.ts'

export type Verdict = 'allowed' | 'unauthenticated' | 'forbidden'

/** May the bearer of this Authorization header get that path? Throws AppError when the API server cannot tell. */
export type Authorize = (authorization: string | undefined, path: string) => Promise<Verdict>

const ALLOWED_KEPT_MS = 60_000
const REFUSED_KEPT_MS = 10_000
const MOST_KEPT = 1_000
const MOST_ASKED_AT_A_TIME = 8
const ANSWER_WITHIN_MS = 10_000

/**
 * Lets the API server decide, as controller-runtime does: a TokenReview tells who it is, a SubjectAccessReview whether
 * they may `get` the nonResourceURL. Answers are remembered for a while by a hash of the token, and only a few are asked
 * for at a time, so that whoever knocks here cannot flood the API server.
 */
export function createAuthorize(client: Pick<KubeClient, 'create'>, clock: Clock): Authorize {
  const known = new Map<string, { readonly verdict: Verdict; readonly until: number }>()
  let asking = 0
  const ask = async (token: string, path: string): Promise<Verdict> => {
    if (asking >= MOST_ASKED_AT_A_TIME) throw new AppError('TooManyConnections', 'authorise: too many ask at a time')
    asking++
    try {
      return await review(client, token, path)
    } finally {
      asking--
    }
  }
  return async (authorization, path) => {
    const token = /^Bearer +([\w.~+/=-]+)$/i.exec(authorization ?? '')?.[1]
    if (token === undefined) return 'unauthenticated'
    const key = createHash('sha256').update(`${path}\n${token}`).digest('base64')
    const now = clock.monotonic()
    const kept = known.get(key)
    if (kept && kept.until > now) return kept.verdict
    const verdict = await ask(token, path)
    if (known.size >= MOST_KEPT) known.clear()
    known.set(key, { verdict, until: now + (verdict === 'allowed' ? ALLOWED_KEPT_MS : REFUSED_KEPT_MS) })
    return verdict
  }
}

async function review(client: Pick<KubeClient, 'create'>, token: string, path: string): Promise<Verdict> {
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS)
  const metadata = { name: '' }
  const { status } = await client.create(TOKEN_REVIEWS, { metadata, spec: { token } }, { signal })
  if (!status?.authenticated || !status.user?.username) return 'unauthenticated'
  const { username, uid, groups, extra }: UserInfo = status.user
  const spec = { user: username, uid, groups, extra, nonResourceAttributes: { path, verb: 'get' } }
  const answer = await client.create(SUBJECT_ACCESS_REVIEWS, { metadata, spec }, { signal })
  return answer.status?.allowed ? 'allowed' : 'forbidden'
}
