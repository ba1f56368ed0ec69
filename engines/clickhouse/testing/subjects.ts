/** Subjects of the engine contract, with everything that somebody may do to them by hand. */
import { createHash } from 'node:crypto'
import type { Damage, Subject } from '../../contract.ts'
import { fingerprint } from '../../credential.ts'
import type { MigrationFile, Owner } from '../../model.ts'
import { clickhouse } from '../engine.ts'
import { identifier, literal } from '../quote.ts'
import type { ChResource } from '../resources.ts'
import { freshTenant, HOSTILE, type Raw } from './server.ts'

export type Make = () => Promise<Subject<ChResource>>

export function file(version: string, body: string, name = `file ${version}`): MigrationFile {
  return { version, name, body, checksum: createHash('sha256').update(body).digest('hex') }
}

export const TENANT_FILES = [
  file('0001', 'CREATE TABLE IF NOT EXISTS events (id UInt64, what String) ENGINE = MergeTree ORDER BY id; -- ;'),
  file(
    `0002 ${HOSTILE}`,
    `CREATE TABLE IF NOT EXISTS "a;b'c" (id UInt64) ENGINE = MergeTree ORDER BY id COMMENT 'x;\\'y';
    ALTER TABLE events ADD COLUMN IF NOT EXISTS at DateTime DEFAULT now()`,
    HOSTILE,
  ),
]

export const SHARED_FILES = [
  file(
    '0001',
    `CREATE TABLE IF NOT EXISTS events (tenant_id LowCardinality(String), id UInt64) ENGINE = MergeTree
    ORDER BY (tenant_id, id);
    CREATE TABLE IF NOT EXISTS countries (code String) ENGINE = MergeTree ORDER BY code COMMENT 'tenantry:reference'`,
  ),
  file('0002', 'CREATE TABLE IF NOT EXISTS clicks (tenant_id String, n UInt8) ENGINE = MergeTree ORDER BY tenant_id'),
]

const PASSWORD = 'correct horse battery staple'

export function secrets(): string {
  return PASSWORD
}

export function logins(name: string) {
  return (['ReadWrite', 'ReadOnly'] as const).map((access) => {
    const login = clickhouse.loginName(name, access)
    return { access, login, fingerprint: fingerprint(login, PASSWORD) }
  })
}

export const LIMITS = { memoryBytes: 1e9, statementTimeoutMs: 30_000, connections: 5, queriesPerHour: 1000 }

const countDatabases = 'SELECT count() FROM system.databases WHERE name = {name:String}'
const countKnown = `SELECT (SELECT count() FROM tenantry.registry WHERE base = {name:String})
  + (SELECT count() FROM tenantry.ledger WHERE database = {name:String})`

async function nothingLeft(raw: Raw, name: string): Promise<boolean> {
  return (await raw.count(countDatabases, { name })) + (await raw.count(countKnown, { name })) === 0
}

async function unmarkedDatabase(raw: Raw, name: string): Promise<() => Promise<void>> {
  await raw.run(`CREATE DATABASE ${identifier(name)} COMMENT 'the work of others'`)
  return () => raw.run(`DROP DATABASE IF EXISTS ${identifier(name)} SYNC`)
}

function databaseDamages(raw: Raw, name: string, tables: readonly string[]): Damage[] {
  const quoted = identifier(name)
  const remark = (comment: string) => raw.run(`ALTER DATABASE ${quoted} MODIFY COMMENT ${literal(comment)}`)
  return [
    { name: 'the database is dropped', inflict: () => raw.run(`DROP DATABASE ${quoted} SYNC`) },
    {
      name: 'the database is dropped and made again, empty and unmarked',
      inflict: async () => {
        await raw.run(`DROP DATABASE ${quoted} SYNC`)
        await raw.run(`CREATE DATABASE ${quoted}`)
      },
    },
    { name: 'the mark is removed', inflict: () => remark('') },
    { name: 'the mark is damaged', inflict: () => remark(`tenantry:{"installation":'`) },
    ...tables.map((table) => ({
      name: `table ${table} is dropped`,
      inflict: () => raw.run(`DROP TABLE ${quoted}.${identifier(table)} SYNC`),
    })),
    {
      name: 'the ledger is emptied',
      inflict: () => raw.run(`DELETE FROM tenantry.ledger WHERE database = ${literal(name)}`),
    },
  ]
}

/** What a Database in `Row` mode owns: shared tables, under a hostile name. */
export function sharedSubject(raw: Raw): Make {
  return async () => {
    const { owner: tenant, shared } = freshTenant('x', HOSTILE)
    const owner: Owner = { ...tenant, kind: 'Database', name: HOSTILE }
    const events = `${identifier(shared)}.events`
    return {
      title: 'shared tables of a Database',
      owner,
      scope: [shared],
      wanted: clickhouse.databaseResources({ isolation: 'Row', shared, extensions: [], files: SHARED_FILES }),
      secrets,
      damages: databaseDamages(raw, shared, ['events', 'countries', 'clicks']),
      lookalike: () => unmarkedDatabase(raw, shared),
      data: {
        write: () => raw.run(`INSERT INTO ${events} VALUES ('t_other', 1)`),
        isThere: async () => (await raw.count(`SELECT count() FROM ${events}`)) > 0,
      },
      isGone: () => nothingLeft(raw, shared),
    }
  }
}

/** A tenant's rows in shared tables, beside the rows of another tenant, which must survive everything. */
export function rowsSubject(raw: Raw, extra: (name: string, shared: string) => Damage[] = () => []): Make {
  return async () => {
    const { owner, name, tenantId, shared } = freshTenant(HOSTILE)
    await raw.run(`CREATE DATABASE ${identifier(shared)}`)
    const events = `${identifier(shared)}.events`
    await raw.run(`CREATE TABLE ${events} (tenant_id String, id UInt64) ENGINE = MergeTree ORDER BY (tenant_id, id)`)
    await raw.run(`INSERT INTO ${events} VALUES ('t_other', 1)`)
    const own = () => raw.count(`SELECT count() FROM ${events} WHERE tenant_id = {id:String}`, { id: tenantId })
    const others = () => raw.count(`SELECT count() FROM ${events} WHERE tenant_id = 't_other'`)
    const where = `id = ${literal(`rows/${name}`)}`
    const input = { name, tenantId, shared, logins: logins(name), limits: LIMITS, files: TENANT_FILES }
    return {
      title: 'rows of a tenant in shared tables',
      owner,
      scope: [name],
      wanted: clickhouse.tenantResources({ ...input, isolation: 'Row', suspended: false }),
      secrets,
      damages: [
        { name: 'it is forgotten', inflict: () => raw.run(`DELETE FROM tenantry.registry WHERE ${where}`) },
        {
          name: 'its mark is damaged',
          inflict: () => raw.run(`ALTER TABLE tenantry.registry UPDATE mark = 'tenantry:{' WHERE ${where}`),
        },
        {
          name: 'its place is damaged',
          inflict: () => raw.run(`ALTER TABLE tenantry.registry UPDATE detail = 'x' WHERE ${where}`),
        },
        ...extra(name, shared),
      ],
      data: {
        write: () => raw.run(`INSERT INTO ${events} VALUES (${literal(tenantId)}, 1), (${literal(tenantId)}, 2)`),
        isThere: async () => (await own()) > 0,
      },
      isGone: async () => (await own()) === 0 && (await others()) === 1 && (await nothingLeft(raw, name)),
    }
  }
}

/** A tenant with a database of its own. */
export function databaseSubject(raw: Raw, extra: (name: string) => Damage[] = () => []): Make {
  return async () => {
    const { owner, name, tenantId, shared } = freshTenant(HOSTILE)
    const events = `${identifier(name)}.events`
    const input = { name, tenantId, shared, logins: logins(name), limits: LIMITS, files: TENANT_FILES }
    return {
      title: 'database of a tenant',
      owner,
      scope: [name],
      wanted: clickhouse.tenantResources({ ...input, isolation: 'Database', suspended: false }),
      secrets,
      damages: [...databaseDamages(raw, name, ['events', "a;b'c"]), ...extra(name)],
      lookalike: () => unmarkedDatabase(raw, name),
      data: {
        write: () => raw.run(`INSERT INTO ${events} (id, what) VALUES (1, 'x')`),
        isThere: async () => (await raw.count(`SELECT count() FROM ${events}`)) > 0,
      },
      isGone: () => nothingLeft(raw, name),
    }
  }
}
