import { createHash } from 'node:crypto'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, untilCondition } from '../support/operator.ts'
import { postgresAs, READY } from '../support/platform.ts'
import { CANARY, FIRST, makeFleet, markCanary, untilAt, untilRollout } from '../support/rollouts.ts'

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
})

const SECOND = { ...FIRST, '2_title.sql': 'alter table notes add title text;' }
const UNDOABLE = { ...SECOND, '2_title.down.sql': 'alter table notes drop column title;' }

describe('a lower target', () => {
  test('undoes the files above it, in waves, and a higher one applies them again', async () => {
    const fleet = await makeFleet(op, 'back', 3)
    await fleet.files(UNDOABLE)
    await untilRollout(fleet, { state: 'Done', target: '2' })
    await markCanary(fleet, fleet.tenants[0])
    await fleet.change({ target: '1', rollout: { canary: { ...CANARY, soak: '1h' } } })
    await untilRollout(fleet, { state: 'Soaking', from: '2', target: '1', rollback: true })
    expect(await fleet.versions()).toEqual(['1', '2', '2'])
    await fleet.change({ target: '1' })
    await untilRollout(fleet, { state: 'Done', target: '1' })
    expect(await fleet.versions()).toEqual(['1', '1', '1'])
    await fleet.tenant('back-new')
    await untilAt(fleet, 'back-new', { ready: true, schemaVersion: '1' })
    await fleet.change({})
    await untilRollout(fleet, { state: 'Done', target: '2' })
    expect(await fleet.versions()).toEqual(['2', '2', '2'])
  })

  test('is refused without a down file, or with one that may lose something, and changes nothing', async () => {
    const fleet = await makeFleet(op, 'noway', 1)
    await fleet.files(SECOND)
    await untilRollout(fleet, { state: 'Done', target: '2' })
    await fleet.change({ target: '1' })
    const refused = await untilRollout(fleet, { state: 'Refused' })
    expect(refused.message).toMatch(/2_title\.sql cannot be undone: there is no 2_title\.down\.sql/)
    await fleet.files({ ...SECOND, '2_title.down.sql': 'delete from notes;' })
    await untilRollout(fleet, { state: 'Refused', message: expect.stringMatching(/of 2_title\.down\.sql/) as never })
    expect(await fleet.versions()).toEqual(['2'])
    await untilCondition(op, DATABASES, fleet.name, {
      condition: { type: 'Ready', status: 'False', reason: 'RolloutRefused' },
    })
  })

  test('stops at a tenant who would lose data, who keeps it', async () => {
    const fleet = await makeFleet(op, 'full', 1)
    const [tenant = ''] = fleet.tenants
    await fleet.files(UNDOABLE)
    await untilRollout(fleet, { state: 'Done', target: '2' })
    const { schema } = await fleet.at(tenant)
    const sql = await postgresAs(fleet.postgres)
    await sql.query(`insert into "${schema}".notes (id, title) values (1, 'precious')`)
    await fleet.change({ target: '1' })
    await untilRollout(fleet, { state: 'Halted' })
    const reason = { type: 'Ready', status: 'False', reason: 'RollbackRefused' } as const
    await untilCondition(op, TENANTS, tenant, { condition: reason })
    expect((await sql.query(`select title from "${schema}".notes`)).rows).toEqual([{ title: 'precious' }])
    await sql.query(`update "${schema}".notes set title = null`)
    await fleet.change({ target: '1', rollout: { soak: '1s' } })
    await untilRollout(fleet, { state: 'Done', target: '1' })
  })
})

test('a file that changed after it was applied is taken for what it is once its new text is recorded', async () => {
  const fleet = await makeFleet(op, 'repair', 2)
  const text = 'create table notes (id bigint primary key, text text); -- what tenants write'
  await fleet.files({ '1_notes.sql': text })
  await untilRollout(fleet, { state: 'Halted' })
  const checksum = createHash('sha256').update(text).digest('hex')
  await fleet.change({ repair: [{ version: '1', checksum }] })
  await untilRollout(fleet, { state: 'Done' })
  for (const tenant of fleet.tenants) await untilCondition(op, TENANTS, tenant, { condition: READY })
})

test('the ledger says for which rollout a file was applied, and who asked for it', async () => {
  const fleet = await makeFleet(op, 'ledger', 1)
  await fleet.files({ ...FIRST, '2_title.sql': `comment on schema :"schema" is :'tenant';` })
  const { run } = await untilRollout(fleet, { state: 'Done', target: '2' })
  const sql = await postgresAs(fleet.postgres)
  const { rows } = await sql.query('select run from tenantry.migration order by version')
  expect(rows).toEqual([{ run: null }, { run }])
})
