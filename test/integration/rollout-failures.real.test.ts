import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { postgresAs, READY } from '../support/platform.ts'
import { CANARY, FIRST, type Fleet, makeFleet, markCanary, untilAt, untilRollout } from '../support/rollouts.ts'

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
})

const addColumn = (name: string) => `alter table notes add ${name} text;`

/** Five files; the third is as given. */
const five = (third: string) => ({
  ...FIRST,
  '2_b.sql': addColumn('b'),
  '3_c.sql': third,
  '4_d.sql': addColumn('d'),
  '5_e.sql': addColumn('e'),
})

async function columns(fleet: Fleet, tenant: string): Promise<string> {
  const { schema } = await fleet.at(tenant)
  const sql = await postgresAs(fleet.postgres)
  const { rows } = await sql.query(
    `select string_agg(column_name, ' ' order by ordinal_position) as names from information_schema.columns
     where table_schema = $1 and table_name = 'notes'`,
    [schema],
  )
  return rows[0].names
}

const notReady = (reason: string) => ({ type: 'Ready', status: 'False', reason }) as const

describe('a file that fails at run time, the third of five', () => {
  test('halts the rollout at the canary, who keeps the first two; when it is corrected everybody gets all five', async () => {
    const fleet = await makeFleet(op, 'third', 4)
    const [canary = '', other = ''] = fleet.tenants
    await markCanary(fleet, canary)
    await fleet.change({ rollout: { canary: CANARY } })
    await fleet.files(five('alter table nobody add c text;'))
    const halted = await untilRollout(fleet, { state: 'Halted', wave: 0 })
    expect(halted.stragglers).toMatchObject([{ tenant: `${op.namespace}/${canary}`, version: '2' }])
    expect(halted.stragglers?.[0]?.message).toMatch(/3_c\.sql.*nobody/s)
    await untilCondition(op, TENANTS, canary, { condition: notReady('MigrationFailed') })
    await untilCondition(op, DATABASES, fleet.name, { condition: notReady('RolloutHalted') })
    expect(await fleet.at(canary)).toMatchObject({ schemaVersion: '2', schemaState: 'Failed', schemaTarget: '5' })
    expect(await fleet.versions()).toEqual(['2', '1', '1', '1'])
    expect(await columns(fleet, canary)).toBe('id text b')
    await untilCondition(op, TENANTS, other, { condition: READY })

    await fleet.files(five(addColumn('c')))
    await untilRollout(fleet, { state: 'Done', from: '1', target: '5' })
    expect(await fleet.versions()).toEqual(['5', '5', '5', '5'])
    expect(await columns(fleet, canary)).toBe('id text b c d e')
    await untilCondition(op, TENANTS, canary, { condition: READY })
    await untilCondition(op, DATABASES, fleet.name, { condition: READY })
  })

  test('reaches no more tenants of a wave than were being served when the first of them failed', async () => {
    const fleet = await makeFleet(op, 'brake', 16)
    await fleet.files(five('alter table nobody add c text;'))
    const { counts } = await untilRollout(fleet, { state: 'Halted', wave: 1 })
    expect(counts?.failed).toBeGreaterThan(0)
    await until('nothing to be under way', async () => expect(op.operator().queues.Tenant.running).toEqual([]))
    const versions = await fleet.versions()
    expect(versions.filter((version) => version === '1').length).toBeGreaterThanOrEqual(8)
  })

  test('is borne for as many tenants as may fail, who are named, and mended by themselves', async () => {
    const fleet = await makeFleet(op, 'borne', 3)
    const [broken = ''] = fleet.tenants
    const { schema } = await fleet.at(broken)
    const sql = await postgresAs(fleet.postgres)
    await sql.query(`alter table "${schema}".notes add c int`)
    await fleet.change({ rollout: { maxFailures: '1' } })
    await fleet.files(five(addColumn('c')))
    const done = await untilRollout(fleet, { state: 'Done', target: '5' })
    expect(done.counts).toMatchObject({ atTarget: 2, failed: 1 })
    expect(done.stragglers).toMatchObject([{ tenant: `${op.namespace}/${broken}`, version: '2' }])
    await untilCondition(op, DATABASES, fleet.name, { condition: READY })
  })
})

describe('a file that must not be applied, the third of five', () => {
  test('is refused with its place before anybody has it, and the first two go on', async () => {
    const fleet = await makeFleet(op, 'refuse', 2)
    await fleet.files(five('select 1;\n  creat table c (x int);'))
    const refused = await untilRollout(fleet, { state: 'Refused', target: '2', refused: '3' })
    expect(refused.message).toMatch(/3_c\.sql:2:3 syntax-error/)
    expect(await fleet.versions()).toEqual(['2', '2'])
    await untilCondition(op, DATABASES, fleet.name, { condition: notReady('RolloutRefused') })
    await untilCondition(op, TENANTS, fleet.tenants[0] ?? '', { condition: READY })
    await fleet.files(five(addColumn('c')))
    await untilRollout(fleet, { state: 'Done', target: '5' })
    await untilCondition(op, DATABASES, fleet.name, { condition: READY })
  })

  test('may be let through by the policy, but not one that would leave its schema', async () => {
    const fleet = await makeFleet(op, 'policy', 1)
    await fleet.files({ ...FIRST, '2_index.sql': 'create index on notes (text);' })
    expect((await untilRollout(fleet, { state: 'Refused' })).message).toMatch(/2_index\.sql:1:1 /)
    const rule = /:1:1 ([a-z-]+)/.exec((await fleet.rollout()).message ?? '')?.[1] ?? ''
    await fleet.change({ lint: { rules: { [rule]: 'warning' } } })
    await untilRollout(fleet, { state: 'Done', target: '2' })
    await fleet.change({ lint: { rules: { 'no-such-rule': 'off' } } })
    await untilCondition(op, DATABASES, fleet.name, { condition: notReady('InvalidSpec') })
    await fleet.change({})
    await fleet.files({ ...FIRST, '2_index.sql': 'create index on notes (text);', '3_role.sql': 'reset role;' })
    await untilRollout(fleet, { state: 'Refused', refused: '3' })
  })
})

test('a file that changed after it was applied stops those it comes to, until it is restored', async () => {
  const fleet = await makeFleet(op, 'changed', 3)
  const [canary = '', other = ''] = fleet.tenants
  await markCanary(fleet, canary)
  await fleet.change({ rollout: { canary: CANARY } })
  const text = 'create table notes (id bigint primary key, text text not null);'
  await fleet.files({ '1_notes.sql': text })
  await untilRollout(fleet, { state: 'Halted', wave: 0 })
  await untilCondition(op, TENANTS, canary, { condition: notReady('MigrationChanged') })
  await untilCondition(op, TENANTS, other, { condition: READY })
  expect(await fleet.versions()).toEqual(['1', '1', '1'])
  await fleet.files(FIRST)
  await untilRollout(fleet, { state: 'Done' })
  await untilAt(fleet, canary, { schemaState: 'AtTarget', ready: true })
  await untilCondition(op, DATABASES, fleet.name, { condition: READY })
})
