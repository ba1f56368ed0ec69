import { parseConfig } from '@tenantry/operator/config.ts'
import { LEASES } from '@tenantry/operator/kube/types.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { leaseName } from '@tenantry/operator/term.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { type OperatorProcess, spawnOperator } from '../support/operator-process.ts'
import { READY, redisAs } from '../support/platform.ts'
import { on, postgresTier, redisTier } from '../support/tiers.ts'

let op: TestOperator
const replicas: OperatorProcess[] = []

beforeAll(async () => {
  // The operator in this process looks after nothing: it is here for its helpers.
  op = await startTestOperator({ TENANTRY_SELECTOR: 'nobody=looks' })
})
afterAll(() => Promise.all(replicas.map((replica) => replica.kill())))

function startReplica(): OperatorProcess {
  const replica = spawnOperator(op.installation, { TENANTRY_LEADER_ELECTION: 'true', TENANTRY_NAMESPACE: op.namespace })
  replicas.push(replica)
  return replica
}

const leads = (replica: OperatorProcess) => replica.printed().includes('this process leads"')

test('of two replicas one works; the other takes over when it freezes, and a leader that wakes up too late ends itself', async () => {
  const first = startReplica()
  await until('the first replica to lead', async () => expect(leads(first)).toBe(true))
  const second = startReplica()
  await second.ready()
  await postgresTier(op, 'oltp')
  await redisTier(op, 'cache')
  await op.applyTenant({ name: 'before', spec: on('oltp', 'cache') })
  await untilCondition(op, TENANTS, 'before', { condition: READY })
  expect(leads(second)).toBe(false)

  first.pause()
  await op.applyTenant({ name: 'during', spec: on('oltp', 'cache') })
  await untilCondition(op, TENANTS, 'during', { condition: READY })
  expect(leads(second)).toBe(true)
  const cache = await redisAs(await op.secret('during-cache'))
  await cache.ping()

  first.resume()
  expect(await first.ended()).toBe(1)
  expect(first.printed()).toContain('this process leads no more')
  await op.applyTenant({ name: 'after', spec: on('oltp', 'cache') })
  await untilCondition(op, TENANTS, 'after', { condition: READY })
  const lease = await op.kube.get(LEASES, { namespace: op.namespace, name: leaseOf(op) })
  expect(lease?.spec?.leaseTransitions).toBe(1)

  const third = startReplica()
  await third.ready()
  expect(await second.stop()).toBe(0)
  await op.applyTenant({ name: 'handed-over', spec: on('oltp', 'cache') })
  await untilCondition(op, TENANTS, 'handed-over', { condition: READY })
  expect(leads(third)).toBe(true)
})

function leaseOf({ installation }: TestOperator): string {
  return leaseName(parseConfig({ TENANTRY_INSTALLATION: installation, TENANTRY_SELECTOR: `test=${installation}` }))
}
