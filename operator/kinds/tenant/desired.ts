import { ANNOTATIONS, isSet } from '@tenantry/crds/annotations.ts'
import { parseDuration, parseQuantity } from '@tenantry/crds/common.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Tenant, TenantDatabase } from '@tenantry/crds/tenant.ts'
import type { Limits, TenantInput } from '@tenantry/engines/model.ts'
import type { Policy, Target } from '../../reconcile/model.ts'
import type { Wanted } from '../database/rollout/wanted.ts'
import type { Binding } from './bindings.ts'
import type { Credential } from './secrets.ts'

/** What one binding of a Tenant should be on its shard: nothing when the entry was removed or the Tenant is going. Pure. */
export function tenantTarget(
  tenant: Tenant,
  binding: Binding,
  credentials: readonly Credential[],
  wanted: Wanted,
): Target {
  const { name, entry, shard, database, objectName, shared } = binding
  return {
    label: name,
    shard,
    scope: database.spec.isolation === 'Row' ? [objectName, shared] : [objectName],
    wanted: entry ? shard.engine.tenantResources(tenantInput(tenant, binding, { entry, credentials, wanted })) : [],
    secrets: (login) => passwordOf(credentials, login),
    policy: policyOf(tenant, database),
    ...(wanted.run && { run: wanted.run }),
  }
}

function tenantInput(
  tenant: Tenant,
  { database, objectName, tenantId, shared }: Binding,
  parts: { entry: TenantDatabase; credentials: readonly Credential[]; wanted: Wanted },
): TenantInput {
  const { isolation } = database.spec
  const { namespace, name } = tenant.metadata
  const { files, reverted } = parts.wanted
  return {
    isolation,
    name: objectName,
    tenantId,
    shared,
    suspended: tenant.spec.suspended,
    logins: parts.credentials.map(({ access, login, fingerprint }) => ({ access, login, fingerprint })),
    limits: limitsOf({ ...database.spec.tenantDefaults?.limits, ...parts.entry.limits }),
    files: isolation === 'Row' ? [] : files,
    reverted,
    tenant: `${namespace}/${name}`,
  }
}

function policyOf({ metadata, spec }: Tenant, database: Database): Policy {
  return {
    paused: isSet(metadata.annotations, ANNOTATIONS.paused) || isSet(database.metadata.annotations, ANNOTATIONS.paused),
    mode: database.spec.mode,
    approval: database.spec.approval,
    retain: spec.deletionPolicy === 'Retain',
    adopt: isSet(metadata.annotations, ANNOTATIONS.adopt),
    approved: metadata.annotations?.[ANNOTATIONS.approved],
  }
}

function limitsOf(limits: NonNullable<TenantDatabase['limits']>): Limits {
  const { connections, statementTimeout, memory, queriesPerHour } = limits
  return {
    ...(connections !== undefined && { connections }),
    ...(statementTimeout !== undefined && { statementTimeoutMs: parseDuration(statementTimeout) }),
    ...(memory !== undefined && { memoryBytes: parseQuantity(memory) }),
    ...(queriesPerHour !== undefined && { queriesPerHour }),
  }
}

function passwordOf(credentials: readonly Credential[], login: string): string {
  const found = credentials.find((credential) => credential.login === login)
  if (found) return found.password
  throw new AppError('SecretNotFound', `look up the password of login ${login}: no Secret of this Tenant holds it`)
}
