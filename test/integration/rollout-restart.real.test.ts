import { DATABASES } from '@tenantry/operator/operator.ts'
import { beforeAll, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until } from '../support/operator.ts'
import { CANARY, FIRST, makeFleet, markCanary, untilRollout } from '../support/rollouts.ts'
import { annotate } from '../support/watching.ts'

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
})

const SECOND = { ...FIRST, '2_author.sql': 'alter table notes add author text;' }

/** Waits until the operator has nothing left to do but what it looks at from time to time. */
async function quiet(): Promise<void> {
  await until('the operator to have started', async () => expect(op.operator().ready()).toBe(true))
  await until('nothing to be under way', async () => {
    const { Database, Tenant } = op.operator().queues
    expect([...Database.running, ...Tenant.running]).toEqual([])
    expect(Tenant.depth + Database.depth).toBe(0)
  })
}

test('a rollout outlives a restart of the operator in each of its states', async () => {
  const fleet = await makeFleet(op, 'states', 4)
  await markCanary(fleet, fleet.tenants[0])
  const rollout = { approval: 'All', canary: { ...CANARY, soak: '6s' }, waves: [50], soak: '6s' } as const
  await fleet.change({ rollout })
  await fleet.files(SECOND)
  const { run, approve = '' } = await untilRollout(fleet, { state: 'AwaitingApproval' })
  const same = { ...(run !== undefined && { run }) }

  await op.restart()
  await quiet()
  await untilRollout(fleet, { ...same, state: 'AwaitingApproval' })
  expect(await fleet.versions()).toEqual(['1', '1', '1', '1'])

  await annotate(op, DATABASES, fleet.name, { approved: approve })
  await untilRollout(fleet, { ...same, state: 'Soaking', wave: 0 })
  await op.restart()
  await quiet()
  expect(await fleet.versions()).toEqual(['2', '1', '1', '1'])

  await untilRollout(fleet, { ...same, state: 'Soaking', wave: 1 })
  await fleet.change({ rollout: { ...rollout, state: 'Paused' } })
  await untilRollout(fleet, { ...same, state: 'Paused', wave: 1 })
  const before = await fleet.versions()
  await op.restart()
  await quiet()
  expect(await fleet.versions()).toEqual(before)

  await fleet.change({ rollout })
  await untilRollout(fleet, { ...same, state: 'Done' })
  expect(await fleet.versions()).toEqual(['2', '2', '2', '2'])
  await op.restart()
  await quiet()
  await untilRollout(fleet, { ...same, state: 'Done' })
})

test('a rollout that halted stays so over a restart, and goes on when the file is corrected while nobody works', async () => {
  const fleet = await makeFleet(op, 'halted', 3)
  await markCanary(fleet, fleet.tenants[0])
  await fleet.change({ rollout: { canary: CANARY } })
  await fleet.files({ ...FIRST, '2_author.sql': 'alter table nobody add author text;' })
  await untilRollout(fleet, { state: 'Halted' })
  await op.restart()
  await quiet()
  await untilRollout(fleet, { state: 'Halted', wave: 0 })
  expect(await fleet.versions()).toEqual(['1', '1', '1'])
  await op.operator().stop()
  await fleet.files(SECOND)
  await op.restart()
  await untilRollout(fleet, { state: 'Done', target: '2' })
  expect(await fleet.versions()).toEqual(['2', '2', '2'])
})

test('a rollout whose memory is lost is begun anew, and costs those nothing who have the files', async () => {
  const fleet = await makeFleet(op, 'lost', 3)
  await markCanary(fleet, fleet.tenants[0])
  const rollout = { canary: { ...CANARY, soak: '1h' } }
  await fleet.change({ rollout })
  await fleet.files(SECOND)
  const { run } = await untilRollout(fleet, { state: 'Soaking', wave: 0 })
  await op.operator().stop()
  const ref = { namespace: op.namespace, name: fleet.name }
  await op.kube.patch(DATABASES, ref, { status: null }, { type: 'merge', subresource: 'status' })
  await op.restart()
  const again = await untilRollout(fleet, { from: '1', target: '2' })
  expect(again.run).not.toBe(run)
  await untilRollout(fleet, { state: 'Done', counts: { total: 3, atTarget: 3, pending: 0, failed: 0, suspended: 0 } })
})
