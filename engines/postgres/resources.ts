import type { DatabaseInput, LoginInput, MigrationFile, TenantInput } from '../model.ts'
import { CONTROL_VERSION } from './control.ts'
import type { Circle, Entry, PgResource, RoleResource, Site } from './model.ts'
import { circle, trustedRole } from './names.ts'

/** What a Database itself needs on each shard: the gate, the control schema, extensions, and with `Row` the shared tables. */
export function databaseResources({
  isolation,
  shared,
  extensions,
  files,
  reverted,
}: DatabaseInput): readonly PgResource[] {
  const trusted = trustedRole(shared)
  const base: PgResource[] = [
    { kind: 'Gate', id: `gate/${shared}`, spec: { gate: '' }, data: false },
    {
      kind: 'ControlSchema',
      id: 'control/tenantry',
      spec: { gate: '', version: CONTROL_VERSION, trusted },
      data: true,
    },
    ...[...new Set(extensions)].map(
      (name): PgResource => ({ kind: 'Extension', id: `extension/${name}`, spec: { name }, data: false }),
    ),
  ]
  if (isolation !== 'Row') return base
  const place = circle(shared)
  return [
    ...base,
    ...groups(place),
    role({ name: trusted, use: 'trusted', memberOf: [place.rw], heir: place.owner }),
    entry(place),
    { kind: 'Schema', id: `schema/${shared}`, spec: place, data: true },
    { kind: 'DefaultPrivileges', id: `defaults/${shared}`, spec: { ...place, tables: false }, data: false },
    { kind: 'SharedTables', id: `tables/${shared}`, spec: place, data: false },
    ...migrations({ ...place, shared: true }, files, reverted),
  ]
}

/** What a tenant needs on its shard. */
export function tenantResources(input: TenantInput): readonly PgResource[] {
  if (input.isolation === 'Row') return rowTenant(input)
  const own = circle(input.name, input.isolation === 'Database' ? input.name : undefined)
  const site = { ...own, shared: false, ...(input.tenant !== undefined && { tenant: input.tenant }) }
  return [
    ...groups(own),
    ...(own.place === undefined ? [entry(own)] : [ownDatabase(own)]),
    { kind: 'Schema', id: `schema/${own.schema}`, spec: own, data: true },
    { kind: 'DefaultPrivileges', id: `defaults/${own.schema}`, spec: { ...own, tables: true }, data: false },
    { kind: 'ObjectGrants', id: `grants/${own.schema}`, spec: own, data: false },
    ...logins(input, own),
    ...migrations(site, input.files, input.reverted),
  ]
}

function rowTenant(input: TenantInput): readonly PgResource[] {
  const { name, tenantId, shared } = input
  return [
    { kind: 'TenantRows', id: `rows/${name}`, spec: { name, tenantId, shared }, data: true },
    ...input.logins.map(
      ({ login }): PgResource => ({ kind: 'Binding', id: `binding/${login}`, spec: { login, tenantId }, data: false }),
    ),
    ...logins(input, circle(shared)),
  ]
}

function ownDatabase({ schema, owner, rw, ro }: Circle): PgResource {
  return { kind: 'TenantDatabase', id: `database/${schema}`, spec: { name: schema, owner, rw, ro }, data: true }
}

function groups({ owner, rw, ro, place }: Circle): readonly RoleResource[] {
  const at = place === undefined ? {} : { place }
  return [
    role({ name: owner, use: 'owner', memberOf: [], ...at }),
    role({ name: rw, use: 'group', memberOf: [], heir: owner, ...at }),
    role({ name: ro, use: 'group', memberOf: [], heir: owner, ...at }),
  ]
}

function role(spec: RoleResource['spec']): RoleResource {
  return { kind: 'Role', id: `role/${spec.name}`, spec, data: spec.use === 'owner' }
}

function entry({ schema, owner, rw, ro }: Circle): Entry {
  return { kind: 'Entry', id: `entry/${schema}`, spec: { gate: '', members: [owner, rw, ro] }, data: false }
}

function logins(input: TenantInput, { schema, owner, rw, ro, place }: Circle): readonly RoleResource[] {
  const settings = loginSettings(schema, input.limits.statementTimeoutMs)
  return input.logins.map(({ access, login, fingerprint }: LoginInput) =>
    role({
      name: login,
      use: 'login',
      memberOf: [access === 'ReadWrite' ? rw : ro],
      heir: owner,
      ...(place !== undefined && { place }),
      login: {
        enabled: !input.suspended,
        fingerprint,
        connectionLimit: input.limits.connections ?? -1,
        settings,
      },
    }),
  )
}

/** Settings of a group are not inherited by its members, so every login has them. Written as Postgres keeps them. */
function loginSettings(schema: string, statementTimeoutMs: number | undefined): Readonly<Record<string, string>> {
  return {
    idle_in_transaction_session_timeout: '60s',
    lock_timeout: '5s',
    search_path: `${schema}, public`,
    ...(statementTimeoutMs !== undefined && { statement_timeout: String(statementTimeoutMs) }),
  }
}

function migrations(
  at: Site,
  files: readonly MigrationFile[],
  reverted: readonly MigrationFile[] = [],
): readonly PgResource[] {
  return [
    ...files.map(
      ({ down: _, ...file }): PgResource => ({
        kind: 'Migration',
        id: `migration/${at.schema}/${file.version}`,
        spec: { ...at, ...file },
        data: false,
      }),
    ),
    ...reverted.flatMap(({ version, name, checksum, down }): readonly PgResource[] =>
      down
        ? [
            {
              kind: 'Reversal',
              id: `reversal/${at.schema}/${version}`,
              spec: { ...at, version, name, checksum, down },
              data: false,
            },
          ]
        : [],
    ),
  ]
}
