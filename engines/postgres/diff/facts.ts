import type { RoleSpec, RoleUse } from '../model.ts'

/** What a role's mark says beside its owner. `verifier`: hash of the stored verifier of a login. */
export function roleFacts(
  { use, heir, place, login }: RoleSpec,
  database: string,
  verifier: string | undefined,
): Readonly<Record<string, string>> {
  return {
    database,
    use,
    ...(heir !== undefined && { heir }),
    ...(place !== undefined && { place }),
    ...(login && { credential: login.fingerprint }),
    ...(login && verifier !== undefined && { verifier }),
  }
}

/** The opposite: what a role of ours was made for, to drop it without its former spec. */
export function specFromFacts(name: string, facts: Readonly<Record<string, string>>): RoleSpec {
  const { use, heir, place } = facts
  return {
    name,
    use: isUse(use) ? use : 'group',
    memberOf: [],
    ...(heir !== undefined && { heir }),
    ...(place !== undefined && { place }),
  }
}

function isUse(use: string | undefined): use is RoleUse {
  return use === 'owner' || use === 'group' || use === 'login' || use === 'trusted'
}
