import { type AppError, asAppError } from '@tenantry/crds/errors.ts'
import type { Tenant, TenantDatabaseStatus } from '@tenantry/crds/tenant.ts'
import type { Owner, Proof } from '@tenantry/engines/model.ts'
import type { TargetOutcome } from '../../reconcile/model.ts'
import type { Binding } from './bindings.ts'
import type { Credential } from './secrets.ts'

/** What is known about one binding's isolation, and with which credentials a real login proved it. */
export interface Verdict {
  readonly proof: Proof
  /** Fingerprint by access of every login that was proven, now or earlier. */
  readonly proven: Readonly<Partial<Record<Credential['access'], string>>>
  readonly error?: AppError
}

/** A verdict that rests on the snapshot, and the credentials whose login has yet to prove it. */
export interface Assessment {
  readonly verdict: Verdict
  readonly due: readonly Credential[]
}

type Looked = { readonly outcome: TargetOutcome; readonly credentials: readonly Credential[] }

/** What the snapshot alone proves. Nothing while anything still differs, but a leak is told even then: what would close it may be held for long. */
export function assess(
  owner: Owner,
  tenant: Tenant,
  binding: Binding,
  { outcome, credentials }: Looked,
): Assessment | undefined {
  if (!binding.entry || outcome.found === undefined) return undefined
  const proof = binding.shard.engine.isolation(owner, outcome.found)
  if (differs(outcome) && proof.verdict !== 'leaking') return undefined
  const before = provenBefore(tenant.status?.databases?.find(({ name }) => name === binding.name))
  const verdict = { proof, proven: stillValid(before, credentials) }
  if (proof.verdict !== 'isolated' || tenant.spec.suspended) return { verdict, due: [] }
  return { verdict, due: credentials.filter(({ access, fingerprint }) => before[access] !== fingerprint) }
}

/** Proves isolation: from the snapshot every time, at no cost, and by a real login once for each new credential. */
export async function verify(
  owner: Owner,
  tenant: Tenant,
  binding: Binding,
  looked: Looked,
): Promise<Verdict | undefined> {
  const assessment = assess(owner, tenant, binding, looked)
  if (!assessment || assessment.due.length === 0) return assessment?.verdict
  const { verdict, due } = assessment
  try {
    for (const { login, password } of due) {
      const proof = await binding.shard.probe({ owner, name: binding.objectName, login, password })
      if (proof.verdict === 'leaking') return { ...verdict, proof }
    }
  } catch (error) {
    return { ...verdict, error: asAppError(error, `prove the isolation of ${binding.name} on ${binding.shard.id}`) }
  }
  const proven = looked.credentials.map(({ access, fingerprint }) => [access, fingerprint])
  return { ...verdict, proven: Object.fromEntries(proven) }
}

function differs({ error, held, remaining }: TargetOutcome): boolean {
  return error !== undefined || held.length > 0 || remaining.length > 0
}

function provenBefore(status: TenantDatabaseStatus | undefined): Verdict['proven'] {
  return {
    ...(status?.credential !== undefined && { ReadWrite: status.credential }),
    ...(status?.readOnlyCredential !== undefined && { ReadOnly: status.readOnlyCredential }),
  }
}

function stillValid(before: Verdict['proven'], credentials: readonly Credential[]): Verdict['proven'] {
  const same = credentials.filter(({ access, fingerprint }) => before[access] === fingerprint)
  return Object.fromEntries(same.map(({ access, fingerprint }) => [access, fingerprint]))
}
