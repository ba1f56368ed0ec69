/** Makes tenants in bulk as the operator leaves them, so that it finds nothing to do: engines and API, without the operator. */
import { FIELD_MANAGER } from '@tenantry/crds/annotations.ts'
import { API_VERSION } from '@tenantry/crds/common.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { fingerprint, newPassword } from '@tenantry/engines/credential.ts'
import type { Engine, Owner, Resource, Session, SessionOptions } from '@tenantry/engines/model.ts'
import { databaseName, objectName, tenantId } from '@tenantry/engines/names.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import type { Config } from '@tenantry/operator/config.ts'
import { ENGINES } from '@tenantry/operator/shards/engines.ts'
import { type Api, secretsPath, tenantsPath } from '../api.ts'
import { NAMESPACE } from '../platform.ts'
import { type Renames, type Sample, secretLike, statusLike, tenantLike } from './template.ts'
import { type FleetTier, placementOf, shardName, shardOf } from './tiers.ts'

const APPLY = 'application/apply-patch+yaml'
const UNUSED = 't_nobody_00000000'
/** Tenants that are made at a time; each shard's session has fewer connections than that. */
const AT_A_TIME = 48

export interface SeedOptions {
  readonly api: Api
  readonly config: Config
  readonly tiers: readonly FleetTier[]
  /** By `placementOf`. */
  readonly samples: ReadonlyMap<string, Sample>
  readonly labels: Readonly<Record<string, string>>
  readonly log: (line: string) => void
  readonly signal: AbortSignal
}

/** Makes tenants `fleet-00000` and so on, from one number up to and without another. */
export async function seed(options: SeedOptions, from: number, to: number): Promise<void> {
  const { config, tiers, signal, log } = options
  const lanes = new Map(tiers.map((tier) => [tier, tier.shards.map((_, i) => openLane(tier, i, config))]))
  try {
    for (const lane of [...lanes.values()].flat()) await lane.prepare(signal)
    const slots = new Semaphore(AT_A_TIME)
    let done = 0
    const tick = Math.max(500, Math.ceil((to - from) / 10))
    const one = async (index: number): Promise<void> => {
      await slots.run(() => makeTenant(options, lanes, index), signal)
      if (++done % tick === 0) log(`${done} of ${to - from} tenants are made`)
    }
    await Promise.all(Array.from({ length: to - from }, (_, i) => one(from + i)))
  } finally {
    await Promise.all([...lanes.values()].flat().map((lane) => lane.close()))
  }
}

interface Lane {
  prepare(signal: AbortSignal): Promise<void>
  /** Makes what the tenant has on this shard. */
  make(owner: Owner, password: string, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

function openLane(tier: FleetTier, ordinal: number, config: Config): Lane {
  const engine: Engine<Resource, unknown> = ENGINES[tier.engine]
  const { connection } = shardOf(tier, ordinal)
  const session: Session<Resource, unknown> = engine.connect(connection, sessionOptions(config))
  let empty: unknown
  return {
    prepare: async (signal) => {
      empty = await session.observe([UNUSED], signal)
    },
    make: async (owner, password, signal) => {
      const changes = engine.diff(owner, resourcesOf(engine, tier, { owner, password }), empty)
      const { failed } = await session.apply({ owner, changes, secrets: () => password }, signal)
      if (failed) throw failed.error
    },
    close: () => session.close(),
  }
}

/** More patient than the operator: how long making the fleet takes is not what is measured. */
function sessionOptions({ installation, shardConnections }: Config): SessionOptions {
  return { installation, connectTimeoutMs: 60_000, statementTimeoutMs: 120_000, maxConnections: shardConnections }
}

function resourcesOf(
  engine: Engine<Resource, unknown>,
  { name: database, isolation, files }: FleetTier,
  { owner, password }: { readonly owner: Owner; readonly password: string },
): readonly Resource[] {
  const key = { namespace: NAMESPACE, name: database }
  const name = objectName(owner, key)
  const login = engine.loginName(name, 'ReadWrite')
  return engine.tenantResources({
    isolation,
    name,
    tenantId: tenantId(owner),
    shared: databaseName(key),
    suspended: false,
    logins: [{ access: 'ReadWrite', login, fingerprint: fingerprint(login, password) }],
    limits: {},
    files: isolation === 'Row' ? [] : files,
  })
}

/** The Tenant comes first, because its uid is part of every mark; its status last. */
async function makeTenant(
  { api, config, tiers, samples, labels, signal }: SeedOptions,
  lanes: ReadonlyMap<FleetTier, readonly Lane[]>,
  index: number,
): Promise<void> {
  const sample = samples.get(placementOf(tiers, index))
  if (!sample) throw new Error(`there is no sample for tenant ${index}`)
  const name = `fleet-${String(index).padStart(5, '0')}`
  const passwords = new Map(tiers.map((tier) => [tier.name, newPassword()]))
  const renames = renamesFor(sample, name, passwords)
  const body = JSON.stringify(tenantLike(sample, renames, labels))
  const created = JSON.parse(await api.send('POST', tenantsPath(NAMESPACE), body)) as Tenant
  const { uid } = created.metadata
  const owner: Owner = { installation: config.installation, kind: 'Tenant', namespace: NAMESPACE, name, uid }
  await Promise.all(
    tiers.map(async (tier) => {
      const lane = lanes.get(tier)?.[index % tier.shards.length]
      await lane?.make(owner, passwords.get(tier.name) ?? '', signal)
      await makeSecret(api, { sample, tier, renames, uid })
    }),
  )
  const status = { apiVersion: API_VERSION, kind: 'Tenant', metadata: { namespace: NAMESPACE, name, uid } }
  const text = JSON.stringify({ ...status, status: statusLike(sample, renames) })
  await api.send('PATCH', `${tenantsPath(NAMESPACE)}/${name}/status?${MANAGER}`, text, APPLY)
}

const MANAGER = `fieldManager=${FIELD_MANAGER}&force=true`

async function makeSecret(
  api: Api,
  { sample, tier, renames, uid }: { sample: Sample; tier: FleetTier; renames: Renames; uid: string },
): Promise<void> {
  const like = sample.secrets.get(tier.name)
  if (!like) throw new Error(`the sample has no Secret for ${tier.name}`)
  const secret = secretLike(like, renames, uid) as { readonly metadata: { readonly name: string } }
  const path = `${secretsPath(NAMESPACE)}/${secret.metadata.name}?${MANAGER}`
  await api.send('PATCH', path, JSON.stringify(secret), APPLY)
}

/** Everything in status and Secrets that depends on who the tenant is. */
function renamesFor({ tenant, secrets }: Sample, name: string, passwords: ReadonlyMap<string, string>): Renames {
  const old = tenant.metadata
  const fresh = { namespace: old.namespace, name }
  const entries = (tenant.status?.databases ?? []).flatMap((entry) => {
    const database = { namespace: NAMESPACE, name: entry.name }
    const [from, to] = [objectName(old, database), objectName(fresh, database)]
    const was = Buffer.from(secrets.get(entry.name)?.data?.password ?? '', 'base64').toString()
    const password = passwords.get(entry.name) ?? ''
    const login = (entry.login ?? '').replace(from, to)
    const credential = entry.credential === undefined ? [] : [[entry.credential, fingerprint(login, password)] as const]
    return [[from, to] as const, [was, password] as const, ...credential]
  })
  return [[old.name, name], [tenantId(old), tenantId(fresh)], ...entries]
}

/** Names of the samples that the operator has to make first, with a pin to each shard. */
export function sampleTenants(
  tiers: readonly FleetTier[],
): readonly { readonly name: string; readonly tenant: object }[] {
  const most = Math.max(...tiers.map(({ shards }) => shards.length))
  return Array.from({ length: most }, (_, index) => {
    const name = `sample-${index}`
    return { name, tenant: pinnedTenant(name, tiers, index) }
  })
}

/** A Tenant over all tiers, pinned to shards as `shardOf` says. */
export function pinnedTenant(name: string, tiers: readonly FleetTier[], index: number, labels = {}): object {
  const databases = tiers.map((tier) => ({
    name: tier.name,
    databaseRef: { name: tier.name },
    shard: shardName(index % tier.shards.length),
  }))
  const metadata = { namespace: NAMESPACE, name, labels }
  return { apiVersion: API_VERSION, kind: 'Tenant', metadata, spec: { deletionPolicy: 'Delete', databases } }
}
