import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { Connection, MigrationFile, Resource, SchemaSubject } from '@tenantry/engines/model.ts'
import { databaseName, objectName } from '@tenantry/engines/names.ts'
import { postgres } from '@tenantry/engines/postgres/engine.ts'
import { Analyst } from '@tenantry/operator/analysis/analyst.ts'
import { systemClock } from '@tenantry/operator/clock.ts'
import { upTo } from '@tenantry/operator/kinds/database/rollout/plan.ts'
import { SourceFiles } from '@tenantry/operator/kinds/database/source-files.ts'
import { decodeDatabase, decodeTenant, defectOf } from '@tenantry/operator/kinds/decode.ts'
import { placesOf } from '@tenantry/operator/kinds/placements.ts'
import type { KubeClient } from '@tenantry/operator/kube/client.ts'
import { type KubeObject, type ResourceType, SECRETS } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { parseConnection } from '@tenantry/operator/shards/connection.ts'
import { CommandError } from './run.ts'

/** An object's name as it is given on the command line. */
export interface Name {
  readonly namespace: string
  readonly name: string
}

/** A schema of the fleet: a tenant's own, or with isolation Row the one that a shard's tenants share. */
export interface Member extends SchemaSubject {
  /** `namespace/name` of the Tenant; absent for shared tables. */
  readonly tenant?: string
}

export interface FleetShard {
  readonly name: string
  readonly connection: Connection
  readonly members: readonly Member[]
}

/** A Database with its SQL files, its shards and all that have tables there. */
export interface Fleet {
  readonly database: Database
  /** All that a member has in the end, whenever its wave comes. */
  readonly files: readonly MigrationFile[]
  /** What is undone of whoever has it, for it lies above the target. */
  readonly reverted: readonly MigrationFile[]
  readonly shared: boolean
  readonly shards: readonly FleetShard[]
  /** Tenants that refer to the Database and have no place there yet. */
  readonly unplaced: readonly string[]
}

/** Reads it all from the cluster, and changes nothing. `only`: one Tenant alone. */
export async function readFleet(client: KubeClient, name: Name, only: Name | undefined): Promise<Fleet> {
  const database = await readDatabase(client, name)
  const shared = database.spec.isolation === 'Row'
  const tenants = only ? [await readTenant(client, only)] : await readTenants(client)
  const referring = tenants.filter((tenant) => refersTo(tenant, name))
  if (only && referring.length === 0) {
    throw new CommandError(`Tenant ${keyOf(only)} has no database that refers to ${keyOf(name)}`)
  }
  const placed = referring.map((tenant) => ({ tenant, shard: shardOf(tenant, name) }))
  const shards = database.spec.shards.map(async (shard): Promise<FleetShard> => {
    const here = placed.filter((one) => one.shard === shard.name).map(({ tenant }) => tenant)
    const members = shared ? sharedMember(database, here, only) : here.map((tenant) => memberOf(database, tenant))
    return { name: shard.name, connection: await readConnection(client, name, shard.connectionSecretRef.name), members }
  })
  const all = await readFiles(client, database)
  const files = upTo(all, database.spec.schema?.target)
  return {
    database,
    shared,
    files,
    reverted: all.slice(files.length).filter(({ down }) => down),
    shards: (await Promise.all(shards)).filter(({ members }) => members.length > 0),
    unplaced: placed.filter(({ shard }) => shard === undefined).map(({ tenant }) => keyOf(tenant.metadata)),
  }
}

/** What the SQL files are to the engine, for one member of the fleet. */
export function wantedOf(
  { database, files, reverted, shared }: Fleet,
  { schema, tenant }: Member,
): readonly Resource[] {
  const { isolation } = database.spec
  if (shared) return postgres.databaseResources({ isolation, shared: schema, extensions: [], files, reverted })
  const input = {
    isolation,
    name: schema,
    tenantId: schema,
    shared: schema,
    suspended: false,
    logins: [],
    limits: {},
    files,
    reverted,
  }
  return postgres.tenantResources({ ...input, ...(tenant !== undefined && { tenant }) })
}

/** As the operator reads them. */
async function readFiles(client: KubeClient, database: Database): Promise<readonly MigrationFile[]> {
  const analyst = new Analyst({ clock: systemClock })
  try {
    return await new SourceFiles({ get: (_, type, ref) => client.get(type, ref) }, analyst).read(database)
  } finally {
    await analyst.close()
  }
}

async function readDatabase(client: KubeClient, name: Name): Promise<Database> {
  const database = decodeDatabase(await found(client, DATABASES, name))
  const defect = defectOf(database)
  if (defect) throw new CommandError(`Database ${keyOf(name)} cannot be used: ${defect.message}`)
  if (database.spec.engine === 'PostgreSQL') return database
  throw new CommandError(`Database ${keyOf(name)} is of ${database.spec.engine}: this command knows PostgreSQL alone`)
}

async function readTenant(client: KubeClient, name: Name): Promise<Tenant> {
  return decodeTenant(await found(client, TENANTS, name))
}

async function found<T extends KubeObject>(client: KubeClient, type: ResourceType<T>, name: Name): Promise<T> {
  const object = await client.get(type, name)
  if (object) return object
  throw new CommandError(`there is no ${type.kind} ${keyOf(name)} (kubectl get ${type.plural} -A)`)
}

const PAGE = 500

async function readTenants(client: KubeClient): Promise<readonly Tenant[]> {
  const tenants: Tenant[] = []
  let page = await client.list(TENANTS, { limit: PAGE })
  for (;;) {
    tenants.push(...page.items.map(decodeTenant))
    if (page.continue === undefined) return tenants
    page = await client.list(TENANTS, { limit: PAGE, continue: page.continue })
  }
}

function refersTo({ metadata, spec }: Tenant, name: Name): boolean {
  return spec.databases.some(
    ({ databaseRef }) =>
      databaseRef.name === name.name && (databaseRef.namespace ?? metadata.namespace) === name.namespace,
  )
}

function shardOf(tenant: Tenant, { namespace, name }: Name): string | undefined {
  const places = [...placesOf(tenant).values()]
  return places.find(({ database }) => database.namespace === namespace && database.name === name)?.shard
}

/** Asked for one tenant, the tables that it shares are what there is to tell. */
function sharedMember(database: Database, here: readonly Tenant[], only: Name | undefined): readonly Member[] {
  return only && here.length === 0 ? [] : [{ schema: databaseName(database.metadata) }]
}

function memberOf(database: Database, { metadata }: Tenant): Member {
  const schema = objectName(metadata, database.metadata)
  return { schema, tenant: keyOf(metadata), ...(database.spec.isolation === 'Database' && { place: schema }) }
}

async function readConnection(client: KubeClient, { namespace }: Name, name: string): Promise<Connection> {
  const secret = await client.get(SECRETS, { namespace, name })
  if (!secret) throw new CommandError(`there is no connection Secret ${namespace}/${name}`)
  return parseConnection('PostgreSQL', `${namespace}/${name}`, secret.data ?? {})
}

function keyOf({ namespace, name }: Name): string {
  return `${namespace}/${name}`
}
