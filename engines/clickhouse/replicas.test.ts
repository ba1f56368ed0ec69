import { expect, test } from 'vitest'
import type { Call, Link } from './client.ts'
import {
  type ClusterRow,
  disagreement,
  type ReplicaSet,
  type ReplicaTable,
  replicaQuery,
  replicaSets,
  setFor,
  verifyReplicas,
} from './replicas.ts'
import { splitStatements } from './split.ts'

type Numbers = readonly [shard: number, replica: number]

const row = (cluster: string, [shard, replica]: Numbers, host: string, local = false): ClusterRow => ({
  ...{ cluster, shard, replica, host, port: 9000, local },
})

test.each([
  ['no cluster', [], []],
  ['a cluster of this server alone', [row('c', [1, 1], 'a', true)], []],
  ['shards without replicas', [row('c', [1, 1], 'a', true), row('c', [2, 1], 'b')], []],
  ['replicas that are all this server', [row('c', [1, 1], '127.0.0.1', true), row('c', [1, 2], '127.0.0.2', true)], []],
  ['a cluster of others', [row('c', [1, 1], 'a'), row('c', [1, 2], 'b')], []],
  [
    'two replicas',
    [row('c', [1, 2], 'b'), row('c', [1, 1], 'a', true)],
    [
      [
        'c',
        1,
        [
          [1, 'a:9000'],
          [2, 'b:9000'],
        ],
      ],
    ],
  ],
  [
    'the replicas of the second shard, by the numbers that the server gives them',
    [row('c', [1, 1], 'a'), row('c', [1, 2], 'b'), row('c', [2, 1], 'x'), row('c', [2, 2], 'y', true)],
    [
      [
        'c',
        4,
        [
          [3, 'x:9000'],
          [4, 'y:9000'],
        ],
      ],
    ],
  ],
  [
    'an address that is named twice counts once',
    [row('c', [1, 1], 'a'), row('c', [2, 1], 'a'), row('c', [3, 1], 'x', true), row('c', [3, 2], 'y')],
    [
      [
        'c',
        2,
        [
          [2, 'x:9000'],
          [3, 'y:9000'],
        ],
      ],
    ],
  ],
  [
    'the larger one first',
    [row('a', [1, 1], 'x', true), row('a', [1, 2], 'y'), ...[1, 2, 3].map((n) => row('b', [1, n], `h${n}`, n === 2))],
    [
      [
        'b',
        2,
        [
          [1, 'h1:9000'],
          [2, 'h2:9000'],
          [3, 'h3:9000'],
        ],
      ],
      [
        'a',
        1,
        [
          [1, 'x:9000'],
          [2, 'y:9000'],
        ],
      ],
    ],
  ],
])('of %s', (_, rows, expected) => {
  expect(replicaSets(rows).map(({ cluster, local, hosts }) => [cluster, local, [...hosts]])).toEqual(expected)
})

const SET: ReplicaSet = {
  cluster: 'c',
  local: 1,
  hosts: new Map([
    [1, 'a:9000'],
    [2, 'b:9000'],
  ]),
}

test('a Replicated database is compared in the cluster of its own name', () => {
  const own = { ...SET, cluster: 't_acme' }
  expect(setFor([SET, own], 't_acme')).toBe(own)
  expect(setFor([SET, own], 't_other')).toBe(SET)
  expect(setFor([], 't_acme')).toBeUndefined()
})

const table = (replica: number, name: string, hash = '1', engine = 'ReplicatedMergeTree'): ReplicaTable => ({
  ...{ replica, name, engine, hash },
})

test.each([
  ['nothing anywhere', [], undefined],
  ['the same', [table(1, 't'), table(2, 't')], undefined],
  ['a table that is not there', [table(1, 't')], 'replica b:9000 lacks table t'],
  ['a table that is still there', [table(2, 't')], 'replica b:9000 still has table t'],
  ['another column', [table(1, 't', '5'), table(2, 't', '6')], 'replica b:9000 has other columns or keys in table t'],
  ['a replica of another shard', [table(1, 't'), table(2, 't'), table(3, 'u')], undefined],
])('finds in %s what differs', (_, tables, expected) => {
  expect(disagreement(tables, SET, 'engines')).toBe(expected)
  expect(disagreement(tables, SET, 'all')).toBe(expected)
})

test('a table that is not replicated may be here alone, unless its database is replicated', () => {
  const tables = [table(1, 't', '1', 'MergeTree')]
  expect(disagreement(tables, SET, 'engines')).toBeUndefined()
  expect(disagreement(tables, SET, 'all')).toBe('replica b:9000 lacks table t')
})

/** Answers one after another; the last one for ever. */
function answering(answers: readonly (readonly ReplicaTable[])[]): Link & { readonly asked: () => number } {
  let asked = 0
  const rows = async (): Promise<readonly never[]> =>
    [...(answers[Math.min(asked++, answers.length - 1)] ?? [])] as never[]
  return { rows, run: async () => undefined, close: async () => undefined, asked: () => asked }
}

const call: Call = { doing: 'apply file 1', signal: AbortSignal.timeout(60_000) }
const [same, late] = [[table(1, 't'), table(2, 't')], [table(1, 't')]]

test('a replica that comes later is waited for, one that never comes is an error, and a single server costs no query', async () => {
  const patient = answering([late, late, same])
  await verifyReplicas(patient, { database: 'd', sets: [SET], waitMs: 10_000 }, call)
  expect(patient.asked()).toBe(3)
  const never = verifyReplicas(answering([late]), { database: 'd', sets: [SET], waitMs: 10 }, call)
  await expect(never).rejects.toMatchObject({
    code: 'Timeout',
    message: expect.stringContaining('b:9000 lacks table t'),
  })
  const alone = answering([])
  await verifyReplicas(alone, { database: 'd', sets: [], waitMs: 10 }, call)
  expect(alone.asked()).toBe(0)
})

test('the query is one statement, whatever the names', () => {
  const sql = replicaQuery(`c'; \\ DROP`, `d'; \\ DROP`)
  expect(splitStatements(sql)).toEqual([sql])
})
