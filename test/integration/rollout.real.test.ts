import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { READY } from '../support/platform.ts'
import { CANARY, FIRST, makeFleet, markCanary, SHARED, untilAt, untilRollout } from '../support/rollouts.ts'
import { useStack } from '../support/stack.ts'
import { annotate, eventsAbout } from '../support/watching.ts'

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
})

const SECOND = { ...FIRST, '2_author.sql': 'alter table notes add author text;' }
const THIRD = { ...SECOND, '3_title.sql': 'alter table notes add title text;' }

/** As somebody who is not the operator; its own client signs as the operator. */
async function addFile(name: string, file: string, value: string): Promise<void> {
  const config = new KubeConfig()
  config.loadFromFile(useStack().kubeconfig)
  const body = [{ op: 'add', path: `/data/${file}`, value }]
  const ref = { namespace: op.namespace, name, fieldManager: 'a-person' }
  await config.makeApiClient(CoreV1Api).patchNamespacedConfigMap({ ...ref, body })
}

describe('a rollout', () => {
  test('goes from the labelled canary over a soak to a wave and to everybody, and says so everywhere', async () => {
    const fleet = await makeFleet(op, 'waves', 4)
    const [canary = '', other = ''] = fleet.tenants
    await markCanary(fleet, canary)
    const rollout = { waves: [50], soak: '1s' }
    await fleet.change({ rollout: { ...rollout, canary: { ...CANARY, soak: '1h' } } })
    await addFile(fleet.name, '2_author.sql', SECOND['2_author.sql'])
    const soaking = await untilRollout(fleet, { state: 'Soaking', wave: 0, from: '1', target: '2' })
    expect(soaking.by).toBe('a-person')
    expect(soaking.counts).toMatchObject({ total: 4, atTarget: 1, pending: 3 })
    expect(await fleet.versions()).toEqual(['2', '1', '1', '1'])
    await untilAt(fleet, other, { schemaState: 'Pending', schemaTarget: '2', schemaVersion: '1', ready: true })
    await untilCondition(op, TENANTS, other, { condition: READY })
    await untilCondition(op, DATABASES, fleet.name, {
      condition: { type: 'RolledOut', status: 'False', reason: 'Soaking' },
    })

    await fleet.change({ rollout: { ...rollout, canary: { ...CANARY, soak: '1s' } } })
    await untilRollout(fleet, { state: 'Done', counts: { total: 4, atTarget: 4, pending: 0, failed: 0, suspended: 0 } })
    expect(await fleet.versions()).toEqual(['2', '2', '2', '2'])
    expect(await fleet.at(other)).toMatchObject({ schemaState: 'AtTarget' })
    await untilCondition(op, DATABASES, fleet.name, { condition: { type: 'RolledOut', status: 'True' } })
    await until('the events', async () => {
      const reasons = (await eventsAbout(op, fleet.name)).map(({ reason }) => reason)
      expect(reasons).toEqual(expect.arrayContaining(['RolloutStarted', 'WaveStarted', 'RolloutSoaks', 'RolloutDone']))
    })
  })

  test('is paused, goes on, and is aborted; a new tenant has what everybody has', async () => {
    const fleet = await makeFleet(op, 'pause', 3)
    await markCanary(fleet, fleet.tenants[0])
    const rollout = { canary: { ...CANARY, soak: '1h' } }
    await fleet.change({ rollout })
    await fleet.files(SECOND)
    const { run } = await untilRollout(fleet, { state: 'Soaking' })
    await fleet.change({ rollout: { ...rollout, state: 'Paused' } })
    await untilRollout(fleet, { state: 'Paused', wave: 0 })
    await untilCondition(op, DATABASES, fleet.name, { condition: READY })
    await fleet.change({ rollout })
    await untilRollout(fleet, { state: 'Soaking', wave: 0, ...(run !== undefined && { run }) })

    await fleet.tenant('pause-new')
    await untilAt(fleet, 'pause-new', { ready: true, schemaVersion: '1', schemaState: 'Pending' })
    await fleet.change({ rollout: { ...rollout, state: 'Aborted' } })
    await untilRollout(fleet, { state: 'Aborted' })
    await fleet.change({ rollout })
    await fleet.change({})
    expect(await fleet.rollout()).toMatchObject({ state: 'Aborted' })
    expect(await fleet.versions()).toEqual(['2', '1', '1'])

    await fleet.files(THIRD)
    await untilRollout(fleet, { state: 'Done', from: '1', target: '3' })
    expect(await fleet.versions()).toEqual(['3', '3', '3'])
    await fleet.tenant('pause-late')
    await untilAt(fleet, 'pause-late', { ready: true, schemaVersion: '3', schemaState: 'AtTarget' })
  })

  test('with a file that loses data waits for approval of exactly this file', async () => {
    const fleet = await makeFleet(op, 'approve', 2)
    await fleet.files({ ...FIRST, '2_drop.sql': 'alter table notes drop column text;' })
    const { approve = '', message } = await untilRollout(fleet, { state: 'AwaitingApproval' })
    expect(message).toMatch(/2_drop\.sql:1:1 drop-column/)
    const held = { type: 'Held', status: 'True', reason: 'AwaitingApproval' } as const
    await untilCondition(op, DATABASES, fleet.name, { condition: held })
    await annotate(op, DATABASES, fleet.name, { approved: 'another' })
    await until('the Database to have looked', async () => expect(op.operator().queues.Database.running).toEqual([]))
    expect(await fleet.versions()).toEqual(['1', '1'])
    await annotate(op, DATABASES, fleet.name, { approved: `another, ${approve}` })
    await untilRollout(fleet, { state: 'Done' })
    expect(await fleet.versions()).toEqual(['2', '2'])
  })

  test('passes a suspended tenant by, who catches up when it is woken', async () => {
    const fleet = await makeFleet(op, 'asleep', 3)
    const [sleeper = ''] = fleet.tenants
    await fleet.tenant(sleeper, true)
    const suspended = { type: 'Suspended', status: 'True' } as const
    await untilCondition(op, TENANTS, sleeper, { condition: suspended })
    await fleet.files(SECOND)
    await untilRollout(fleet, { state: 'Done', counts: { total: 3, atTarget: 2, suspended: 1, pending: 0, failed: 0 } })
    expect(await fleet.versions()).toEqual(['1', '2', '2'])
    await untilAt(fleet, sleeper, { schemaState: 'Skipped', schemaTarget: '2' })
    await fleet.tenant(sleeper)
    await untilAt(fleet, sleeper, { schemaState: 'AtTarget', schemaVersion: '2' })
  })

  test('of shared tables goes from shard to shard', async () => {
    const fleet = await makeFleet(op, 'shared', 1, 'Row')
    await fleet.files({ ...SHARED, '2_author.sql': 'alter table notes add author text;' })
    await untilRollout(fleet, {
      state: 'Done',
      target: '2',
      counts: { total: 1, atTarget: 1, pending: 0, failed: 0, suspended: 0 },
    })
    await untilCondition(op, TENANTS, 'shared-0', { condition: READY })
    expect((await fleet.database()).status?.shards).toMatchObject([{ schemaVersion: '2', schemaState: 'AtTarget' }])
  })
})
