import type { Address, Connection, Engine, TenantInput } from '../model.ts'
import { compareVersions } from '../versions.ts'
import { diff } from './diff/diff.ts'
import { appliedFiles } from './diff/migration.ts'
import { isolation } from './isolation.ts'
import type { PgResource } from './model.ts'
import { loginName } from './names.ts'
import { databaseResources, tenantResources } from './resources.ts'
import { secretData } from './secret.ts'
import { connect } from './session.ts'
import type { PgSnapshot } from './snapshot.ts'
import { statements } from './statements.ts'

/**
 * PostgreSQL 14 and newer. `Schema`: a schema for each tenant. `Row`: shared tables under forced row security. `Database`: a
 * database for each tenant. The administrative user is a superuser, or has CREATEROLE and owns the shard's database (and has
 * CREATEDB for isolation `Database`). One Database has a shard's database for itself.
 */
export const postgres: Engine<PgResource, PgSnapshot> = {
  name: 'PostgreSQL',
  connect,
  loginName,
  tenantResources,
  databaseResources,
  address,
  secretData,
  diff,
  isolation,
  schemaVersion: (schema, found) => [...appliedFiles(found, schema).keys()].toSorted(compareVersions).at(-1),
  statements,
}

function address(
  { isolation: mode, name, shared }: Pick<TenantInput, 'isolation' | 'name' | 'shared'>,
  connection: Connection,
): Address {
  if (mode === 'Database') return { database: name, schema: name }
  const database = connection.database ?? connection.username ?? 'postgres'
  return { database, schema: mode === 'Row' ? shared : name }
}
