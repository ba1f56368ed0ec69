/** For each CEL rule an object that the API server must accept and one that it must reject. Imported by tests only. */
import { API_VERSION } from './common.ts'
import type { DatabaseManifest } from './database.ts'
import type { TenantManifest } from './tenant.ts'

export type Manifest = TenantManifest | DatabaseManifest

/** Also what no type allows. */
export type Writable = Omit<Manifest, 'spec'> & { readonly spec?: unknown; readonly status?: unknown }

/** `message` identifies the rule. With `before`, that object exists and the other two are updates of it. */
export interface RuleCase {
  readonly message: string
  readonly before?: Manifest
  readonly accepted: Manifest
  readonly rejected: Manifest
}

type TenantSpecInput = TenantManifest['spec']
type EntryInput = TenantSpecInput['databases'][number]
type DatabaseSpecInput = DatabaseManifest['spec']

/** An entry of spec.databases. */
export function entry(name: string, more: Partial<EntryInput> = {}): EntryInput {
  return { name, databaseRef: { name: `db-${name}` }, ...more }
}

export function tenant(spec: Partial<TenantSpecInput> = {}, name = 'case'): TenantManifest {
  return { apiVersion: API_VERSION, kind: 'Tenant', metadata: { name }, spec: { databases: [entry('main')], ...spec } }
}

export function database(spec: Partial<DatabaseSpecInput> = {}, name = 'case'): DatabaseManifest {
  const whole = { engine: 'PostgreSQL', isolation: 'Schema', shards: shards('s0'), ...spec } as const
  return { apiVersion: API_VERSION, kind: 'Database', metadata: { name }, spec: whole }
}

export function named<M extends Manifest>(manifest: M, name: string): M {
  return { ...manifest, metadata: { ...manifest.metadata, name } }
}

/** Shards whose connection Secrets bear their names. */
export function shards(...names: readonly string[]): DatabaseSpecInput['shards'] {
  return names.map((name) => ({ name, connectionSecretRef: { name } }))
}

const redis = { engine: 'Redis', isolation: 'Prefix' } as const
const clickhouse = { engine: 'ClickHouse', isolation: 'Row' } as const
const schema = { sources: [{ configMapRef: { name: 'tables' } }] }
const pinned = tenant({ databases: [entry('main', { shard: 's0' })] })

export const RULE_CASES: readonly RuleCase[] = [
  {
    message: 'databaseRef cannot be changed: add an entry with another name, copy the data, then remove this one',
    before: tenant(),
    accepted: tenant({ databases: [entry('cache'), entry('main')] }),
    rejected: tenant({ databases: [entry('main', { databaseRef: { name: 'another' } })] }),
  },
  {
    message:
      'shard cannot be changed once it is set: moving a tenant that has data is not supported, put the old value back',
    before: pinned,
    accepted: tenant(),
    rejected: tenant({ databases: [entry('main', { shard: 's1' })] }),
  },
  {
    message: 'use only letters, digits, -, _ and . in the names of Secret keys, and at most 253 of them',
    accepted: tenant({ databases: [entry('main', { secretTemplate: { DATABASE_URL: '$(uri)', 'tls.crt-1': '' } })] }),
    rejected: tenant({ databases: [entry('main', { secretTemplate: { 'DATABASE URL': '$(uri)' } })] }),
  },
  {
    message: 'refer to each Database once: a Tenant has one place in it',
    accepted: tenant({
      databases: [
        entry('main', { databaseRef: { name: 'oltp' } }),
        entry('other', { databaseRef: { name: 'oltp', namespace: 'platform' } }),
        entry('third', { databaseRef: { name: 'oltp', namespace: 'elsewhere' } }),
      ],
    }),
    rejected: tenant({
      databases: [
        entry('main', { databaseRef: { name: 'oltp', namespace: 'platform' } }),
        entry('other', { databaseRef: { name: 'oltp', namespace: 'platform' } }),
      ],
    }),
  },
  {
    message: 'give each database a secretName of its own',
    accepted: tenant({
      databases: [entry('a', { secretName: 'x' }), entry('b', { secretName: 'y' }), entry('c'), entry('d')],
    }),
    rejected: tenant({ databases: [entry('a', { secretName: 'x' }), entry('b', { secretName: 'x' })] }),
  },
  {
    message: 'engine cannot be changed: make another Database',
    before: database({ isolation: 'Row' }),
    accepted: database({ isolation: 'Row', purpose: 'OLTP' }),
    rejected: database({ isolation: 'Row', engine: 'ClickHouse' }),
  },
  {
    message: 'isolation cannot be changed: make another Database',
    before: database(),
    accepted: database({ interval: '10s' }),
    rejected: database({ isolation: 'Row' }),
  },
  {
    message:
      'choose an isolation of the engine: PostgreSQL has Schema, Row and Database; ClickHouse Row and Database; Redis Prefix',
    accepted: database(redis),
    rejected: database({ engine: 'ClickHouse', isolation: 'Schema' }),
  },
  {
    message: 'give each shard a connection Secret of its own',
    accepted: database({ shards: shards('s0', 's1') }),
    rejected: database({
      shards: [...shards('s0'), { name: 's1', connectionSecretRef: { name: 's0' } }],
    }),
  },
  {
    message: 'give a selector with from: Selector, and only then',
    accepted: database({
      allowedTenants: { namespaces: { from: 'Selector', selector: { matchLabels: { 'tenantry.dev/tier': 'gold' } } } },
    }),
    rejected: database({ allowedTenants: { namespaces: { from: 'Selector' } } }),
  },
  {
    message: 'remove extensions: only PostgreSQL has them',
    accepted: database({ extensions: ['uuid-ossp', 'pg_trgm'] }),
    rejected: database({ ...clickhouse, extensions: ['pg_trgm'] }),
  },
  {
    message: 'remove schema: Redis has no tables',
    accepted: database({ ...clickhouse, schema }),
    rejected: database({ ...redis, schema }),
  },
  {
    message: 'choose the canaries by matchLabels or by percent, not both',
    accepted: database({ schema: { ...schema, rollout: { canary: { percent: 5 }, waves: [50, 10] } } }),
    rejected: database({ schema: { ...schema, rollout: { canary: { percent: 5, matchLabels: { tier: 'free' } } } } }),
  },
  {
    message: 'add shards first: replicas cannot exceed their number',
    accepted: database({ shards: shards('s0', 's1'), replicas: 2 }),
    rejected: database({ shards: shards('s0', 's1'), replicas: 3 }),
  },
]

/** Further pairs of engine and isolation, and whether they go together. */
export const ISOLATION_CASES: readonly (readonly [DatabaseManifest, boolean])[] = [
  [database({ isolation: 'Schema' }), true],
  [database({ isolation: 'Row' }), true],
  [database({ isolation: 'Database' }), true],
  [database({ isolation: 'Prefix' }), false],
  [database({ engine: 'ClickHouse', isolation: 'Row' }), true],
  [database({ engine: 'ClickHouse', isolation: 'Database' }), true],
  [database({ engine: 'ClickHouse', isolation: 'Prefix' }), false],
  [database({ engine: 'Redis', isolation: 'Schema' }), false],
  [database({ engine: 'Redis', isolation: 'Row' }), false],
  [database({ engine: 'Redis', isolation: 'Database' }), false],
]

/** What the schema refuses without a rule. */
export const BAD_VALUES: readonly (readonly [string, Writable])[] = [
  ['an unknown engine', { ...database(), spec: { ...database().spec, engine: 'MySQL' } }],
  ['a Database without shards', database({ shards: [] })],
  [
    'two shards of one name',
    database({ shards: [...shards('s0'), { name: 's0', connectionSecretRef: { name: 'x' } }] }),
  ],
  ['an interval below a second', database({ interval: '500ms' })],
  ['an interval of zero', database({ interval: '0s' })],
  ['replicas of zero', database({ replicas: 0 })],
  [
    'a capacity that is no size',
    database({ shards: [{ ...entry('x'), connectionSecretRef: { name: 's' }, capacity: { storage: '10 GB' } }] }),
  ],
  ['an extension with a quote in its name', database({ extensions: ['a"; DROP'] })],
  ['a target that is no number', database({ schema: { ...schema, target: 'latest' } })],
  ['a checksum that is none', database({ schema: { ...schema, repair: [{ version: '1', checksum: 'ab' }] } })],
  ['a wave of nobody', database({ schema: { ...schema, rollout: { waves: [0] } } })],
  ['a wave of more than everybody', database({ schema: { ...schema, rollout: { waves: [101] } } })],
  ['one wave twice', database({ schema: { ...schema, rollout: { waves: [10, 10] } } })],
  ['a budget that is no number', database({ schema: { ...schema, rollout: { maxFailures: 'some' } } })],
  ['a budget of more than everybody', database({ schema: { ...schema, rollout: { maxFailures: '101%' } } })],
  [
    'a severity that is none',
    { ...database(), spec: { ...database().spec, schema: { ...schema, lint: { rules: { x: 'fatal' } } } } },
  ],
  ['a Tenant without databases', tenant({ databases: [] })],
  ['two entries of one name', tenant({ databases: [entry('a'), entry('a', { databaseRef: { name: 'x' } })] })],
  ['an entry whose name is no DNS label', tenant({ databases: [entry('Main_DB')] })],
  ['the same access twice', tenant({ databases: [entry('a', { access: ['ReadOnly', 'ReadOnly'] })] })],
  ['no access', tenant({ databases: [entry('a', { access: [] })] })],
  ['a timeout of zero', tenant({ databases: [entry('a', { limits: { statementTimeout: '0s' } })] })],
  ['no memory', tenant({ databases: [entry('a', { limits: { memory: '0Mi' } })] })],
  ['an unknown deletion policy', { ...tenant(), spec: { ...tenant().spec, deletionPolicy: 'Orphan' } }],
]

/** Messages of all CEL rules in a CustomResourceDefinition, or any part of one. */
export function messagesIn(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return []
  const { 'x-kubernetes-validations': rules } = node as { 'x-kubernetes-validations'?: { message: string }[] }
  return [...(rules ?? []).map(({ message }) => message), ...Object.values(node).flatMap((child) => messagesIn(child))]
}
