import type { Owner } from '@tenantry/engines/model.ts'
import { postgres } from '@tenantry/engines/postgres/engine.ts'
import type { Migration, PgResource, Reversal } from '@tenantry/engines/postgres/model.ts'
import { fleetArguments } from './arguments.ts'
import { type Fleet, type FleetShard, type Member, readFleet, wantedOf } from './fleet.ts'
import { type Forecast, forecastJson, forecastText, type Pending } from './forecast.ts'
import type { Io } from './run.ts'
import { ENDLESS, onCluster, onShard } from './sessions.ts'

/** Prints what tenants still lack; resolves to the exit code. */
export async function migrationsCommand(args: readonly string[], io: Io): Promise<number> {
  const { database, tenant, json, flags } = fleetArguments(args, ['sql'])
  const fleet = await onCluster(io, (client) => readFleet(client, database, tenant))
  const perShard = await Promise.all(fleet.shards.map((shard) => pendingOn(fleet, shard, flags.has('sql'))))
  const target = fleet.files.at(-1)?.version
  const forecast: Forecast = {
    database: `${database.namespace}/${database.name}`,
    ...(target !== undefined && { target }),
    members: perShard.flat(),
    unplaced: fleet.unplaced,
  }
  io.out(json ? forecastJson(forecast) : forecastText(forecast, io.width))
  return forecast.members.some(({ files }) => files.length > 0) ? 1 : 0
}

/** One look at the shard, whatever the number of its tenants. */
async function pendingOn(fleet: Fleet, shard: FleetShard, withSql: boolean): Promise<readonly Pending[]> {
  const scope = shard.members.length === 1 ? shard.members.map(({ schema }) => schema) : 'all'
  const found = await onShard(shard, { readOnly: true }, (session) => session.observe(scope, ENDLESS))
  return shard.members.map((member) => {
    const changes = postgres
      .diff(NOBODY, wantedOf(fleet, member) as never, found)
      .filter(({ target }) => isFile(target))
    const version = postgres.schemaVersion(member.schema, found)
    return {
      tenant: nameOf(member),
      shard: shard.name,
      schema: member.schema,
      ...(version !== undefined && { version }),
      files: changes.flatMap((change) => {
        const { target, blocked } = change
        if (!isFile(target)) return []
        const { version, name } = target.spec
        const what = target.kind === 'Reversal' ? `undo ${name}` : name
        return { version, name: what, ...(blocked && { blocked: blocked.message }) }
      }),
      ...(withSql && { sql: changes.flatMap((change) => postgres.statements(change)) }),
    }
  })
}

function isFile(resource: PgResource): resource is Migration | Reversal {
  return resource.kind === 'Migration' || resource.kind === 'Reversal'
}

/** Only the files count here, and they are nobody's by a mark. */
const NOBODY: Owner = { installation: '', kind: 'Tenant', namespace: '', name: '', uid: '' }

function nameOf({ tenant }: Member): string {
  return tenant ?? '(shared tables)'
}
