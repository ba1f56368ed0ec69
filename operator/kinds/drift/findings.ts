import { type Condition, type Finding, findCondition } from '@tenantry/crds/conditions.ts'
import type { Database } from '@tenantry/crds/database.ts'
import type { SchemaAnswer } from '@tenantry/engines/model.ts'
import type { World } from '../../world.ts'
import type { DriftRecords } from './records.ts'
import { wordsOf } from './words.ts'

/** The tables of one entry of a Tenant as the last look found them. */
export interface DriftNote {
  /** Of the entry. */
  readonly name: string
  /** Absent: nobody has looked since the process began. */
  readonly answer?: SchemaAnswer
}

/**
 * Condition SchemaDrifted of a Tenant, there only while tables differ. What nobody has looked at since the process began stays as
 * it was told. Pure.
 */
export function driftFindings(
  stored: readonly Condition[] | undefined,
  notes: readonly DriftNote[],
): readonly Finding[] {
  const known = notes.flatMap(({ name, answer }) => (answer ? [{ name, words: wordsOf(answer) }] : []))
  if (known.length === 0) return notes.length > 0 ? asTold(stored) : []
  const told = known.filter(({ words }) => words !== '')
  const message = told.map(({ name, words }) => `${name}: ${words}`).join('; ')
  return told.length === 0 ? [] : [{ type: 'SchemaDrifted', status: 'True', reason: 'Drifted', message }]
}

function asTold(stored: readonly Condition[] | undefined): readonly Finding[] {
  const before = findCondition(stored, 'SchemaDrifted')
  if (!before) return []
  const { status, reason, message } = before
  return [{ type: 'SchemaDrifted', status, reason, message }]
}

/** Whether anybody is to compare the tables of the Database with its SQL files. */
export function isWatched({ spec }: Database): boolean {
  return spec.engine === 'PostgreSQL' && spec.schema !== undefined && spec.schema.drift !== 'Ignore'
}

/** What a Database's status tells of its tables. */
export interface DatabaseDrift {
  readonly findings: readonly Finding[]
  readonly drifted: number
}

/** From the last looks at its shards; what is told stays until there was one. */
export function databaseDrift({ drift }: World, database: Database): DatabaseDrift {
  if (!isWatched(database)) return { findings: [], drifted: 0 }
  const { namespace, name } = database.metadata
  const ids = database.spec.shards.map((shard) => `${namespace}/${name}/${shard.name}`)
  const looks = ids.flatMap((id) => drift.lookAt(id) ?? [])
  const stored = database.status
  if (looks.length === 0) return { findings: asTold(stored?.conditions), drifted: stored?.drifted ?? 0 }
  const drifted = looks.reduce((sum, { differing }) => sum + differing, 0)
  const reason = looks.find(({ unknown }) => unknown !== undefined)?.unknown
  const words = database.spec.isolation === 'Row' ? sharedWords(drift, ids) : ''
  return { findings: findingsOf(drifted, words, reason), drifted }
}

/** Shared tables have nobody else to tell of them. */
function sharedWords(drift: DriftRecords, ids: readonly string[]): string {
  const records = drift.list().filter(({ shard, answer }) => ids.includes(shard) && answer.differences.length > 0)
  return records.map(({ shard, answer }) => `shard ${shard.split('/').at(-1)}: ${wordsOf(answer)}`).join('; ')
}

function findingsOf(drifted: number, words: string, unknown: string | undefined): readonly Finding[] {
  const doubt = unknown === undefined ? '' : `some cannot be compared: ${unknown}`
  if (drifted > 0) {
    const message = `${drifted === 1 ? '1 schema is' : `${drifted} schemas are`} not as the SQL files make them`
    return [
      {
        type: 'SchemaDrifted',
        status: 'True',
        reason: 'Drifted',
        message: [message, words, doubt].filter(Boolean).join('; '),
      },
    ]
  }
  return doubt === '' ? [] : [{ type: 'SchemaDrifted', status: 'Unknown', reason: 'NotComparable', message: doubt }]
}
