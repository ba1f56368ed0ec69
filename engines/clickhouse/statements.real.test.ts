import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import type { ChResource } from './engine.ts'
import { dropPolicy, guardPolicies } from './policies.ts'
import { identifier, literal } from './quote.ts'
import { splitStatements } from './split.ts'
import { accessStatements, createDatabase, dropStatements, markDatabase } from './statements.ts'
import { HOSTILE, rawClient, serverUnderTest } from './testing/server.ts'

const raw = rawClient(serverUnderTest())
afterAll(() => raw.close())

/** Parses on the real server, and gives the statement back as the server would write it. */
async function parsed(sql: string): Promise<string> {
  const [row] = await raw.rows<{ formatted: string }>('SELECT formatQuerySingleLine({sql:String}) AS formatted', {
    sql,
  })
  return row?.formatted ?? ''
}

const grant = { access: 'SELECT', database: HOSTILE, table: HOSTILE }
const role: Extract<ChResource, { kind: 'role' }> = {
  kind: 'role',
  id: 'role/x',
  data: false,
  spec: {
    base: HOSTILE,
    name: HOSTILE,
    reach: { kind: 'rows', shared: HOSTILE, tenantId: HOSTILE },
    members: [],
    policies: [HOSTILE, 'events'],
    grants: [grant, { access: 'dictGet', database: HOSTILE }],
    revoke: [grant, { access: 'ALTER TABLE', database: '' }],
    strangers: [HOSTILE],
    revokeRoles: [HOSTILE],
    leftPolicies: [{ database: HOSTILE, table: HOSTILE }],
  },
}
const user = (access: 'ReadWrite' | 'ReadOnly', suspended: boolean): ChResource => ({
  kind: 'user',
  id: 'user/x',
  data: false,
  spec: {
    ...{ base: HOSTILE, login: HOSTILE, access, suspended, fingerprint: 'f', role: HOSTILE },
    ...{ grants: [{ access: 'CREATE TABLE', database: HOSTILE }], revoke: [grant], revokeRoles: [HOSTILE] },
  },
})
const settings = { max_memory_usage: '5', max_execution_time: '7' }
const resources: readonly ChResource[] = [
  role,
  user('ReadWrite', false),
  user('ReadOnly', true),
  { kind: 'profile', id: 'profile/x', data: false, spec: { base: HOSTILE, role: HOSTILE, settings } },
  { kind: 'quota', id: 'quota/x', data: false, spec: { base: HOSTILE, role: HOSTILE, queriesPerHour: 9 } },
]

describe('statements', () => {
  test('about users parse on the server, whatever the names', async () => {
    const password = { hash: 'a'.repeat(64), salt: 'b'.repeat(32) }
    const made = resources.flatMap((r) =>
      r.kind === 'role' || r.kind === 'user' || r.kind === 'profile' || r.kind === 'quota'
        ? accessStatements(r, password)
        : [],
    )
    const all = [
      ...made,
      ...guardPolicies(HOSTILE, HOSTILE, HOSTILE),
      dropPolicy(HOSTILE, HOSTILE, HOSTILE),
      ...resources.flatMap(dropStatements),
    ]
    expect(all.length).toBeGreaterThan(30)
    for (const sql of all) {
      const again = await parsed(sql)
      expect(again, sql).not.toBe('')
      expect(splitStatements(sql), 'is one statement').toEqual([sql])
      expect(await parsed(again)).toBe(again)
    }
  })

  test('about databases parse on the server, whatever the names', async () => {
    for (const sql of [createDatabase(HOSTILE, HOSTILE), markDatabase(HOSTILE, HOSTILE)]) {
      expect(await parsed(sql)).not.toBe('')
    }
  })

  test('keep every literal and every identifier as it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1 }), async (text) => {
        const [row] = await raw.rows<Record<string, string>>(`SELECT ${literal(text)} AS ${identifier(text)}`)
        expect(row).toEqual(Object.fromEntries([[text, text]]))
      }),
      { numRuns: 60, examples: [[HOSTILE], ['\\'], ["'"], ['`'], ['{a:String}'], ['\n\t\b']] },
    )
  })
})
