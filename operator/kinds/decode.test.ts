import { type Database, databaseSpec } from '@tenantry/crds/database.ts'
import { type Tenant, tenantSpec } from '@tenantry/crds/tenant.ts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TENANT_INDEXES } from '../watches.ts'
import { decodeDatabase, decodeTenant, defectOf } from './decode.ts'
import { placesOf } from './placements.ts'

const metadata = {
  name: 'acme',
  namespace: 'shop',
  uid: 'u',
  resourceVersion: '1',
  generation: 3,
  creationTimestamp: '2026-01-01T00:00:00Z',
}

const tenantOf = (spec: unknown, rest: object = {}): Tenant =>
  decodeTenant({ apiVersion: 'tenantry.dev/v1alpha1', kind: 'Tenant', metadata, spec, ...rest } as Tenant)

const databaseOf = (spec: unknown): Database =>
  decodeDatabase({ apiVersion: 'tenantry.dev/v1alpha1', kind: 'Database', metadata, spec } as Database)

const entry = { name: 'main', databaseRef: { name: 'oltp' } }
const shards = [{ name: 's0', connectionSecretRef: { name: 'oltp-s0' } }]

describe('whatever an API server hands out', () => {
  test('is decoded into something that can be kept, indexed and looked at', () => {
    const anything = fc.record({ spec: fc.anything(), status: fc.anything() })
    fc.assert(
      fc.property(anything, ({ spec, status }) => {
        const tenant = tenantOf(spec, { status })
        expect(tenantSpec.safeParse(tenant.spec).success || tenant.spec.databases.length === 0).toBe(true)
        expect(TENANT_INDEXES.database(tenant)).toBeInstanceOf(Array)
        expect([...placesOf(tenant)]).toBeInstanceOf(Array)
        expect(databaseOf(spec).spec.shards).toBeInstanceOf(Array)
      }),
    )
  })

  test('has a defect exactly where one field of a right spec was made wrong, and the defect names it', () => {
    const right = {
      engine: 'PostgreSQL',
      isolation: 'Schema',
      shards,
      mode: 'Enforce',
      approval: 'All',
      interval: '5m',
    }
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(right)),
        fc.constantFrom(null, 7, {}, 'Unheard-of'),
        (field, value) => {
          const { message } = defectOf(databaseOf({ ...right, [field]: value })) ?? {}
          expect(message).toMatch(new RegExp(`spec\\.${field}`))
        },
      ),
    )
    expect(defectOf(databaseOf(right))).toBeUndefined()
  })
})

describe('a right spec', () => {
  test('is kept with its defaults', () => {
    const spec = { databases: [entry] }
    expect(tenantOf(spec).spec).toEqual(tenantSpec.parse(spec))
    const database = { engine: 'Redis', isolation: 'Prefix', shards }
    expect(databaseOf(database).spec).toEqual(databaseSpec.parse(database))
  })

  test('may hold as many characters as the API server counts, whatever they take in UTF-16', () => {
    expect(defectOf(tenantOf({ databases: [entry], displayName: '🐘'.repeat(256) }))).toBeUndefined()
    expect(defectOf(tenantOf({ databases: [entry], displayName: '🐘'.repeat(257) }))?.message).toMatch(/displayName/)
  })
})

describe('a deletion', () => {
  test.each([
    ['suspended', 'maybe', true],
    ['databases', {}, true],
    ['deletionPolicy', 'Snapshot', false],
  ])('of a Tenant whose %s is %o goes by the rest: %s', (field, value, deletable) => {
    const tenant = tenantOf({ databases: [entry], deletionPolicy: 'Delete', [field]: value })
    expect(defectOf(tenant)?.deletable).toBe(deletable)
    expect(tenant.spec.deletionPolicy).toBe(deletable ? 'Delete' : 'Retain')
  })

  test.each([
    ['interval', 'often', true],
    ['schema', 5, true],
    ['mode', 'Rehearse', false],
    ['approval', 'Committee', false],
    ['engine', 'MySQL', false],
    ['shards', [{}], false],
    ['deletionPolicy', 'Snapshot', false],
  ])('of a Database whose %s is %o goes by the rest: %s', (field, value, deletable) => {
    const right = { engine: 'PostgreSQL', isolation: 'Schema', shards, deletionPolicy: 'Delete' }
    expect(defectOf(databaseOf({ ...right, [field]: value }))?.deletable).toBe(deletable)
  })
})

test('annotations of others are not kept, and ours are; of labels a Tenant keeps as many as anybody needs', () => {
  const annotations = { 'tenantry.dev/paused': 'true', 'example.com/note': 'x'.repeat(10_000) }
  const heavy = { ...metadata, labels: { 'example.com/a': 'b' }, annotations }
  const kept = { ...metadata, annotations: { 'tenantry.dev/paused': 'true' } }
  expect(tenantOf({ databases: [entry] }, { metadata: heavy }).metadata).toEqual({ ...kept, labels: heavy.labels })
  const labels = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`example.com/${i}`, 'b']))
  expect(tenantOf({ databases: [entry] }, { metadata: { ...heavy, labels } }).metadata).toEqual(kept)
  const database = { engine: 'Redis', isolation: 'Prefix', shards }
  const labelled = { spec: database, metadata: heavy } as unknown as Database
  expect(decodeDatabase(labelled).metadata).toEqual(kept)
})
