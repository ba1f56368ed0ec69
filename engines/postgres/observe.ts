import { decodeMark, type Mark } from '../mark.ts'
import type { Scope } from '../model.ts'
import { mapInSlices, Slices } from '../slices.ts'
import { parseAcl } from './acl.ts'
import { indexOwners } from './index-owners.ts'
import { BASE_PATTERN, circle, gateName, loginName, ROLE_PATTERN, roleNames } from './names.ts'
import {
  databasesQuery,
  defaultsQuery,
  ledgerQuery,
  membershipsQuery,
  objectsQuery,
  REGISTRY,
  rolesQuery,
  schemasQuery,
  serverQuery,
  sharedTablesQuery,
} from './queries.ts'
import type {
  DefaultAcl,
  FoundBinding,
  FoundControl,
  FoundDatabase,
  FoundPolicy,
  FoundRole,
  FoundSchema,
  FoundTenant,
  Inside,
  Membership,
  ObjectGroup,
  PgSnapshot,
  Server,
  SharedTable,
} from './snapshot.ts'

/** Runs one query and gives its rows. */
export type Read = <T extends object>(text: string, values?: readonly unknown[]) => Promise<readonly T[]>

/** Opens a short-lived connection to a database of the server, and gives undefined when there is none of that name. */
export type Visit = <T>(database: string, look: (read: Read) => Promise<T>) => Promise<T | undefined>

interface ServerRow extends Server {
  readonly readsVerifiers: boolean
  readonly databaseAcl: string[]
  readonly publicAcl: string[] | null
  readonly extensions: Record<string, string>
  readonly control:
    | (Omit<FoundControl, 'mark' | 'acl' | 'functionAcl'> & { acl: string[]; functionAcl: string[] })
    | null
  readonly ledger: 'current' | 'first' | 'none'
  readonly hasRegistry: boolean
}

/** Names to look for: null means everything that is marked or named like ours. */
interface Names {
  readonly bases: readonly string[] | null
  readonly roles: readonly string[] | null
  /** Roles whose members count: only a Database's own look sees those of its large groups. */
  readonly groups: readonly string[] | null
  readonly logins: readonly string[] | null
}

/**
 * Reads the shard in at most ten queries, however many tenants it has, and in two round trips: what there is decides on the
 * rest. A tenant with a database of its own is looked into only by a scoped observation, over one more connection each; the
 * whole-shard observation knows such a database by its owner, mark and ACL, and its history by the ledger of the shard's
 * database.
 */
export async function observe(read: Read, visit: Visit, scope: Scope): Promise<PgSnapshot> {
  const withDatabase = scope === 'all' || scope.some(isDatabase)
  const server = await readServer(read, withDatabase)
  const gate = gateName(server.database)
  const names = namesOf(scope, gate)
  const [roles, schemas, defaults, ledger, registry, rows] = await Promise.all([
    readRoles(read, names, { gate, readsVerifiers: server.readsVerifiers }),
    readSchemas(read, names.bases),
    readDefaults(read, names.roles),
    readLedger(read, names.bases, server.ledger),
    server.hasRegistry ? readRegistry(read, names) : { bindings: new Map(), tenants: new Map() },
    read<DatabaseRow>(databasesQuery(!names.bases), [names.bases ?? BASE_PATTERN]),
  ])
  const found: Omit<PgSnapshot, 'owned'> = {
    server: { version: server.version, admin: server.admin, superuser: server.superuser, database: server.database },
    gate,
    databaseAcl: parseAcl(server.databaseAcl),
    publicAcl: server.publicAcl ? parseAcl(server.publicAcl) : undefined,
    extensions: new Map(Object.entries(server.extensions)),
    control: controlOf(server.control),
    roles,
    schemas,
    defaults,
    ledger,
    ...registry,
    databases: await readDatabases(rows, visit, { ...names, database: server.database, owners: roles }),
  }
  return { ...found, owned: indexOwners(found) }
}

/** A base name of what a Database has on its shards. */
function isDatabase(base: string): boolean {
  return base.startsWith('d_')
}

function namesOf(scope: Scope, gate: string): Names {
  if (scope === 'all') return { bases: null, roles: null, groups: null, logins: null }
  const tenants = scope.filter((base) => !isDatabase(base))
  const roles = [gate, ...scope.flatMap(roleNames)]
  return {
    bases: scope,
    roles,
    groups: tenants.length > 0 ? tenants.flatMap(roleNames) : roles,
    logins: scope.flatMap((base) => [loginName(base, 'ReadWrite'), loginName(base, 'ReadOnly')]),
  }
}

async function readServer(read: Read, withDatabase: boolean): Promise<ServerRow> {
  const [row] = await read<ServerRow>(serverQuery(withDatabase))
  if (!row) throw new Error('the server answered no row')
  return row
}

function controlOf(row: ServerRow['control']): FoundControl | undefined {
  if (!row) return undefined
  return { ...row, mark: decodeMark(row.comment), acl: parseAcl(row.acl), functionAcl: parseAcl(row.functionAcl) }
}

type RoleRow = Omit<FoundRole, 'mark' | 'memberOf' | 'members' | 'comment' | 'verifierHash'> & {
  comment: string | null
  verifierHash: string | null
}

async function readRoles(
  read: Read,
  { roles: names, groups }: Names,
  { gate, readsVerifiers }: { gate: string; readsVerifiers: boolean },
): Promise<ReadonlyMap<string, FoundRole>> {
  const [rows, memberships] = await Promise.all([
    read<RoleRow>(rolesQuery(!names, readsVerifiers), [names ?? ROLE_PATTERN]),
    read<Membership>(membershipsQuery(!names), [names ?? ROLE_PATTERN, gate, groups]),
  ])
  const memberOf = Map.groupBy(memberships, ({ member }) => member)
  const members = Map.groupBy(memberships, ({ role }) => role)
  return byName(
    await mapInSlices(rows, (row) => ({
      ...row,
      comment: row.comment ?? undefined,
      mark: decodeMark(row.comment),
      verifierHash: row.verifierHash ?? undefined,
      memberOf: memberOf.get(row.name) ?? [],
      members: members.get(row.name) ?? [],
    })),
  )
}

interface SchemaRow {
  readonly name: string
  readonly owner: string
  readonly comment: string | null
  readonly acl: string[]
}

async function readSchemas(read: Read, bases: Names['bases']): Promise<ReadonlyMap<string, FoundSchema>> {
  const [whole, values] = [!bases, [bases ?? BASE_PATTERN]] as const
  const [rows, objects, tables] = await Promise.all([
    read<SchemaRow>(schemasQuery(whole), values),
    read<Omit<ObjectGroup, 'acl'> & { schema: string; acl: string[] | null }>(objectsQuery(whole), values),
    !bases || bases.some(isDatabase) ? read<TableRow>(sharedTablesQuery(whole), values) : [],
  ])
  const objectsOf = Map.groupBy(objects, ({ schema }) => schema)
  const tablesOf = Map.groupBy(tables, ({ schema }) => schema)
  return byName(
    await mapInSlices(rows, (row) => ({
      ...row,
      comment: row.comment ?? undefined,
      mark: decodeMark(row.comment),
      acl: parseAcl(row.acl),
      objects: (objectsOf.get(row.name) ?? []).map((group) => ({ ...group, acl: parseAcl(group.acl) })),
      tables: (tablesOf.get(row.name) ?? []).map(tableOf),
    })),
  )
}

type TableRow = Omit<SharedTable, 'acl' | 'policies' | 'tenantType'> & {
  schema: string
  acl: string[] | null
  tenantType: string | null
  policies: FoundPolicy[]
}

function tableOf(row: TableRow): SharedTable {
  return { ...row, tenantType: row.tenantType ?? undefined, acl: parseAcl(row.acl) }
}

type DefaultRow = Omit<DefaultAcl, 'acl'> & { role: string; acl: string[] }

async function readDefaults(read: Read, roles: Names['roles']): Promise<PgSnapshot['defaults']> {
  const rows = await read<DefaultRow>(defaultsQuery(!roles), [roles ?? ROLE_PATTERN])
  const found = await mapInSlices(rows, (row) => ({ ...row, acl: parseAcl(row.acl) }))
  return Map.groupBy(found, ({ role }) => role)
}

async function readLedger(read: Read, bases: Names['bases'], form: ServerRow['ledger']): Promise<PgSnapshot['ledger']> {
  const ledger = new Map<string, ReadonlyMap<string, string>>()
  if (form === 'none') return ledger
  const rows = await read<{ files: string[]; schemas: string[] }>(ledgerQuery(form === 'current'), [bases])
  for (const { files, schemas } of rows) {
    const history = new Map(files.map((file) => file.split(' ', 2) as [string, string]))
    for (const schema of schemas) ledger.set(schema, history)
  }
  return ledger
}

type RegistryRow = Omit<FoundTenant, 'mark'> & { kind: 'tenant' | 'binding' }

async function readRegistry(read: Read, names: Names): Promise<Pick<PgSnapshot, 'bindings' | 'tenants'>> {
  const rows = await read<RegistryRow>(REGISTRY, [names.bases, names.logins])
  const bindings = new Map<string, FoundBinding>()
  const tenants = new Map<string, FoundTenant>()
  const slices = new Slices()
  for (const { kind, name, tenantId, shared, comment } of rows) {
    const mark = decodeMark(comment)
    if (kind === 'tenant') tenants.set(name, { name, tenantId, shared, comment, mark })
    else bindings.set(name, { login: name, tenantId, comment, mark })
    if (slices.isOver) await slices.next()
  }
  return { bindings, tenants }
}

type DatabaseRow = SchemaRow & { open: boolean }

async function readDatabases(
  rows: readonly DatabaseRow[],
  visit: Visit,
  { bases, roles, database, owners }: Names & { database: string; owners: PgSnapshot['roles'] },
): Promise<ReadonlyMap<string, FoundDatabase>> {
  const found: FoundDatabase[] = []
  for (const row of rows) {
    const mark = decodeMark(row.comment) ?? markOfOwner(row, owners)
    const looks = bases !== null && row.open && (!mark || mark.facts.database === database)
    const inside = looks ? await visit(row.name, (reader) => lookInside(reader, bases, roles)) : undefined
    found.push({ ...row, comment: row.comment ?? undefined, mark, acl: parseAcl(row.acl), inside })
  }
  return byName(found)
}

/**
 * A database cannot be made and marked in one transaction. One that belongs to the owner role of its name, which is marked
 * before, and that nobody has commented on was begun by us, and the process was killed before it came to the mark.
 */
function markOfOwner({ name, owner, comment }: SchemaRow, owners: PgSnapshot['roles']): Mark | undefined {
  return comment === null && owner === circle(name).owner ? owners.get(owner)?.mark : undefined
}

async function lookInside(read: Read, bases: Names['bases'], roles: Names['roles']): Promise<Inside> {
  const [server, schemas, defaults] = await Promise.all([
    readServer(read, true),
    readSchemas(read, bases),
    readDefaults(read, roles),
  ])
  return {
    schemas,
    defaults,
    publicAcl: server.publicAcl ? parseAcl(server.publicAcl) : undefined,
    extensions: new Set(Object.keys(server.extensions)),
  }
}

function byName<T extends { readonly name: string }>(items: readonly T[]): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [item.name, item]))
}
