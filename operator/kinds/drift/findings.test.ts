import type { Condition } from '@tenantry/crds/conditions.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { SchemaAnswer } from '@tenantry/engines/model.ts'
import { describe, expect, test } from 'vitest'
import type { World } from '../../world.ts'
import { databaseDrift, driftFindings } from './findings.ts'
import { DriftRecords } from './records.ts'

const answer = (schema: string, ...missing: readonly string[]): SchemaAnswer => ({
  schema,
  differences: missing.map((name) => ({ kind: 'index', name, state: 'missing', fields: [] })),
  repairs: [],
})
const STORED: Condition = {
  type: 'SchemaDrifted',
  status: 'True',
  reason: 'Drifted',
  message: 'told before',
  lastTransitionTime: '2026-01-01T00:00:00Z',
}
const TOLD = { type: 'SchemaDrifted', status: 'True', reason: 'Drifted', message: 'told before' }

describe('the condition SchemaDrifted of a Tenant', () => {
  test('names what differs by entry', () => {
    const notes = [
      { name: 'main', answer: answer('a', 'x', 'y') },
      { name: 'other', answer: answer('b') },
    ]
    expect(driftFindings([], notes)).toEqual([{ ...TOLD, message: 'main: index x is missing, index y is missing' }])
  })

  test('is cut where much differs', () => {
    const many = answer('a', ...Array.from({ length: 20 }, (_, n) => `i${n}`))
    expect(driftFindings([], [{ name: 'main', answer: many }])[0]?.message).toMatch(/i7 is missing, and 12 more$/)
  })

  test('goes when nothing differs any more, or nobody is to look', () => {
    expect(driftFindings([STORED], [{ name: 'main', answer: answer('a') }])).toEqual([])
    expect(driftFindings([STORED], [])).toEqual([])
  })

  test('stays as it was told until somebody has looked', () => {
    expect(driftFindings([STORED], [{ name: 'main' }])).toEqual([TOLD])
    expect(driftFindings([], [{ name: 'main' }])).toEqual([])
  })
})

describe('what a Database tells of its tables', () => {
  const database = (drift: string, status = {}) =>
    ({
      metadata: { namespace: 'ns', name: 'db' },
      spec: { engine: 'PostgreSQL', isolation: 'Schema', shards: [{ name: 's0' }, { name: 's1' }], schema: { drift } },
      status,
    }) as unknown as Database
  const told = (drift: DriftRecords, of = database('Report')) => databaseDrift({ drift } as World, of)

  test('counts the schemas that differ on all shards, and forgets those that are gone', () => {
    const drift = new DriftRecords()
    for (const [shard, name] of [
      ['s0', 'a'],
      ['s0', 'b'],
      ['s1', 'c'],
    ] as const) {
      drift.set({ shard: `ns/db/${shard}`, engine: 'PostgreSQL', answer: answer(name, 'x'), repairs: [] })
      drift.looked(`ns/db/${shard}`, undefined)
    }
    expect(told(drift)).toMatchObject({
      drifted: 3,
      findings: [{ status: 'True', message: '3 schemas are not as the SQL files make them' }],
    })
    drift.retain('ns/db/s0', ['a'])
    drift.delete('ns/db/s1', 'c')
    expect(told(drift)).toMatchObject({
      drifted: 1,
      findings: [{ message: '1 schema is not as the SQL files make them' }],
    })
    drift.forget('ns/db')
    expect(drift.list()).toEqual([])
  })

  test('tells why nobody can judge', () => {
    const drift = new DriftRecords()
    drift.looked('ns/db/s0', 'a file is gone')
    expect(told(drift).findings).toEqual([
      {
        type: 'SchemaDrifted',
        status: 'Unknown',
        reason: 'NotComparable',
        message: 'some cannot be compared: a file is gone',
      },
    ])
  })

  test('stays as it was told until somebody has looked, and goes where nobody is to look', () => {
    const status = { conditions: [STORED], drifted: 2 }
    expect(told(new DriftRecords(), database('Report', status))).toEqual({ findings: [TOLD], drifted: 2 })
    expect(told(new DriftRecords(), database('Ignore', status))).toEqual({ findings: [], drifted: 0 })
  })
})
