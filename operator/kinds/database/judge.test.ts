import { lintClickHouse } from '@tenantry/engines/clickhouse/lint/lint.ts'
import { lint } from '@tenantry/engines/postgres/lint/lint.ts'
import type { Policy } from '@tenantry/engines/postgres/lint/rules.ts'
import { describe, expect, test } from 'vitest'
import { judgementOf, RULEBOOKS } from './judge.ts'

async function judged(body: string, { policy = {}, inUse = true }: { policy?: Policy; inUse?: boolean } = {}) {
  const rulebook = RULEBOOKS.PostgreSQL
  return judgementOf(await lint({ name: '2_x.sql', body }, policy), { policy, inUse, rulebook })
}

describe('a new file', () => {
  test('that blocks those who use the tables is refused with its place and what to do instead', async () => {
    const { refusal } = await judged('select 1;\ncreate index on notes (text);')
    expect(refusal).toMatch(/^2_x\.sql:2:1 create-index-not-concurrently: .*; /)
  })

  test('that nobody can be blocked by yet is only to be SQL that stays within its schema', async () => {
    const none = { inUse: false }
    expect((await judged('create index on notes (text);', none)).refusal).toBeUndefined()
    expect((await judged('creat index;', none)).refusal).toMatch(/syntax-error/)
    expect((await judged('reset role;', none)).refusal).toMatch(/^2_x\.sql:1:1 set-role/)
  })

  test('that loses data or breaks running programs is approved, also where it says that it is meant', async () => {
    for (const body of ['alter table a drop b;', '-- lint:ignore drop-column nobody reads it\nalter table a drop b;']) {
      const { refusal, approvals } = await judged(body)
      expect(refusal).toBeUndefined()
      expect(approvals).toHaveLength(1)
      expect(approvals[0]).toMatch(/^2_x\.sql:\d:1 drop-column$/)
    }
    expect((await judged('alter table a rename b to c;')).approvals).toEqual(['2_x.sql:1:1 rename-column'])
  })

  test('is refused or let through as the policy says', async () => {
    expect((await judged('alter table a drop b;', { policy: { 'drop-column': 'error' } })).refusal).toMatch(
      /drop-column/,
    )
    const policy = { 'create-index-not-concurrently': 'warning' } as const
    expect(await judged('create index on notes (text);', { policy })).toEqual({ approvals: [] })
  })

  test('for ClickHouse is to be such that it can be run again', () => {
    const rules = { policy: {}, inUse: false, rulebook: RULEBOOKS.ClickHouse }
    const judge = (body: string) => judgementOf(lintClickHouse({ name: '2_x.sql', body }), rules)
    expect(judge('CREATE TABLE a (x UInt8) ENGINE = MergeTree ORDER BY x').refusal).toMatch(/^2_x\.sql:1:1 /)
    expect(judge('CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = MergeTree ORDER BY x')).toEqual({ approvals: [] })
    expect(judge('DROP TABLE IF EXISTS a').approvals).toHaveLength(1)
  })
})
