import { ANNOTATIONS, isSet, LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { fingerprint, newPassword } from '@tenantry/engines/credential.ts'
import type { LoginInput } from '@tenantry/engines/model.ts'
import { statusOf } from '../../kube/errors.ts'
import { type KubeObject, SECRETS, type Secret } from '../../kube/types.ts'
import type { World } from '../../world.ts'
import type { Binding } from './bindings.ts'
import { secretName } from './names.ts'
import { digestOf, keepSecret, type StoredSecret } from './stored-secret.ts'
import { renderTemplate } from './template.ts'

/** What Secrets are read from and written with. */
type Keeper = Pick<World, 'client' | 'secrets'>

/** A login of a binding with the Secret that holds its password. */
export interface Credential extends LoginInput {
  readonly password: string
  readonly secretName: string
}

/**
 * Makes sure that every login of a binding has a Secret with a password and all that a client needs, and writes only what
 * differs. The Secret comes before the login in the engine: a crash in between loses no password, and the engine's mark
 * tells whether the password was set. Throws `SecretConflict` when the name is taken.
 */
export async function ensureCredentials(
  world: Keeper,
  tenant: Tenant,
  binding: Binding,
): Promise<readonly Credential[]> {
  const accesses = binding.entry?.access ?? []
  return await Promise.all(accesses.map((access) => ensureCredential(world, tenant, binding, access)))
}

/** Deletes the Secrets of an entry that is no longer wanted; those of a Tenant that goes are collected with it. */
export async function removeSecrets(world: Keeper, tenant: Tenant, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const found = world.secrets.store.get(`${tenant.metadata.namespace}/${name}`)
    if (!found || !isOwnedBy(tenant, found)) continue
    await world.client.remove(SECRETS, found.metadata, { uid: found.metadata.uid })
  }
}

/** The credentials as they are stored; undefined where a Secret is missing, somebody else's, or not as it should be. */
export function storedCredentials(world: Keeper, tenant: Tenant, binding: Binding): readonly Credential[] | undefined {
  const found = (binding.entry?.access ?? []).map((access) => lookUp(world, tenant, binding, access))
  const asWanted = ({ found: secret, wanted }: LookedUp): boolean =>
    secret !== undefined && isOwnedBy(tenant, secret) && secret.digest === digestOf(wanted)
  return found.every(asWanted) ? found.map(({ credential }) => credential) : undefined
}

async function ensureCredential(
  world: Keeper,
  tenant: Tenant,
  binding: Binding,
  access: LoginInput['access'],
): Promise<Credential> {
  const { found, wanted, credential } = lookUp(world, tenant, binding, access)
  if (found || !mayWrite(binding.database)) return await putRight(world, tenant, binding, { found, wanted, credential })
  if (await make(world, wanted)) return credential
  const there = await world.client.get(SECRETS, wanted.metadata)
  if (!there) throw changedMeanwhile(wanted)
  return await putRight(world, tenant, binding, compose(tenant, binding, access, keepSecret(there)))
}

/** Writes only where something differs. Throws `SecretConflict` when it is not this Tenant's. */
async function putRight(
  world: Keeper,
  tenant: Tenant,
  binding: Binding,
  { found, wanted, credential }: LookedUp,
): Promise<Credential> {
  if (found && !isOwnedBy(tenant, found)) throw conflict(found)
  if (found && mayWrite(binding.database) && found.digest !== digestOf(wanted)) await bringTo(world, found, wanted)
  return credential
}

interface LookedUp {
  readonly found: StoredSecret | undefined
  readonly wanted: Secret
  readonly credential: Credential
}

function lookUp(world: Keeper, tenant: Tenant, binding: Binding, access: LoginInput['access']): LookedUp {
  const name = secretName(tenant.metadata.name, binding, access)
  return compose(tenant, binding, access, world.secrets.store.get(`${tenant.metadata.namespace}/${name}`))
}

/** The Secret as it is and as it should be, with the password that it has, or a new one. */
function compose(
  tenant: Tenant,
  binding: Binding,
  access: LoginInput['access'],
  found: StoredSecret | undefined,
): LookedUp {
  const name = secretName(tenant.metadata.name, binding, access)
  const login = binding.shard.engine.loginName(binding.objectName, access)
  const password = found?.password ?? newPassword()
  const wanted = desiredSecret(tenant, binding, { name, login, password })
  const credential = { access, login, password, secretName: name, fingerprint: fingerprint(login, password) }
  return { found, wanted, credential }
}

/** A plan needs no Secret: what it shows does not depend on the password. */
function mayWrite({ spec, metadata }: Database): boolean {
  return spec.mode === 'Enforce' && !isSet(metadata.annotations, ANNOTATIONS.paused)
}

function desiredSecret(
  tenant: Tenant,
  { shard, entry, address, tenantId }: Binding,
  { name, login, password }: { name: string; login: string; password: string },
): Secret {
  const plain = { ...shard.engine.secretData(shard.connection, address, { login, password }), tenantId }
  const data = { ...plain, ...renderTemplate(entry?.secretTemplate ?? {}, plain) }
  const { namespace, name: owner, uid } = tenant.metadata
  return {
    metadata: {
      namespace,
      name,
      labels: { [LABEL_MANAGED]: 'true' },
      ownerReferences: [{ apiVersion: tenant.apiVersion, kind: 'Tenant', name: owner, uid, controller: true }],
    },
    type: 'Opaque',
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
  }
}

/**
 * False when the name is taken. Creating a Secret decides alone whether it is free, where an apply would add to whatever is
 * there: a Secret that somebody else made must not lose what it holds. One of ours may be there unknown: made too lately, or
 * without the label by which ours are watched because somebody took it away.
 */
async function make(world: Keeper, wanted: Secret): Promise<boolean> {
  try {
    const made = await world.client.create(SECRETS, wanted)
    world.secrets.observe(keepSecret(made))
    return true
  } catch (error) {
    if (statusOf(error) !== 409) throw error
    return false
  }
}

/** Nothing but what is wanted is left in it. Throws `KubernetesConflict` when it went or changed meanwhile. */
async function bringTo(world: Keeper, known: KubeObject, { metadata, data = {} }: Secret): Promise<void> {
  const { resourceVersion } = known.metadata
  const found = await world.client.get(SECRETS, metadata)
  if (found?.metadata.resourceVersion !== resourceVersion) throw changedMeanwhile({ metadata })
  const { labels, ownerReferences } = metadata
  const gone = Object.keys(found?.data ?? {}).map((key) => [key, null] as const)
  const patch = {
    metadata: { resourceVersion, labels, ownerReferences },
    data: { ...Object.fromEntries(gone), ...data },
  }
  const written = await world.client.patch(SECRETS, metadata, patch, { type: 'merge' })
  world.secrets.observe(keepSecret(written))
}

/** By name, not uid: the Secret of a Tenant that was deleted and made again is taken up before it is collected. */
function isOwnedBy(tenant: Tenant, { metadata }: KubeObject): boolean {
  return (metadata.ownerReferences ?? []).some(({ kind, name }) => kind === 'Tenant' && name === tenant.metadata.name)
}

function changedMeanwhile({ metadata: { namespace, name } }: Secret): AppError {
  const doing = `write Secret ${namespace}/${name}`
  return new AppError('KubernetesConflict', `${doing}: it was changed or deleted by somebody else meanwhile`)
}

function conflict({ metadata: { namespace, name } }: Secret): AppError {
  return new AppError(
    'SecretConflict',
    `write Secret ${namespace}/${name}: a Secret of that name exists and is not this Tenant's; delete it, or set another secretName`,
  )
}
