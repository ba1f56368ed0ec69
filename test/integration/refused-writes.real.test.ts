import type { KubeObject, ResourceType } from '@tenantry/operator/kube/types.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countsOf, difference } from '../support/counting.ts'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { makeTenant, READY } from '../support/platform.ts'
import { on, redisTier } from '../support/tiers.ts'
import { eventsAbout } from '../support/watching.ts'

const policyType = (plural: string, kind: string): ResourceType => ({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural,
  kind,
  namespaced: false,
})
const POLICIES = policyType('validatingadmissionpolicies', 'ValidatingAdmissionPolicy')
const BINDINGS = policyType('validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding')

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
  await redisTier(op, 'cache')
})

afterAll(() => allow())

/** Has the API server refuse the statuses of one Tenant of this file's namespace. */
async function refuseStatusOf(tenant: string): Promise<void> {
  const metadata = { name: op.namespace }
  const rule = {
    apiGroups: ['tenantry.dev'],
    apiVersions: ['*'],
    operations: ['UPDATE'],
    resources: ['tenants/status'],
    resourceNames: [tenant],
  }
  const policy = {
    failurePolicy: 'Fail',
    matchConstraints: { resourceRules: [rule] },
    validations: [{ expression: 'false', message: 'statuses are frozen today' }],
  }
  const matchResources = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': op.namespace } } }
  const binding = { policyName: op.namespace, validationActions: ['Deny'], matchResources }
  await op.kube.create(POLICIES, { metadata, spec: policy } as KubeObject)
  await op.kube.create(BINDINGS, { metadata, spec: binding } as KubeObject)
}

async function allow(): Promise<void> {
  await op.kube.remove(BINDINGS, { name: op.namespace })
  await op.kube.remove(POLICIES, { name: op.namespace })
}

test('a status that the API server refuses is told in an event, tried again ever more slowly, and written once it may be', async () => {
  await makeTenant(op, 'frozen', on('cache'))
  await refuseStatusOf('frozen')
  const before = await countsOf(op)
  await until('the status to be refused', async () => {
    // Policies come into force a while after they were made.
    const changed = { spec: { displayName: `Frozen ${Date.now()}` } }
    await op.kube.patch(TENANTS, { namespace: op.namespace, name: 'frozen' }, changed, { type: 'merge' })
    const events = await eventsAbout(op, 'frozen')
    expect(events.map(({ reason, note }) => ({ reason, note }))).toContainEqual({
      reason: 'KubernetesRejected',
      note: expect.stringContaining('statuses are frozen today'),
    })
  })
  await makeTenant(op, 'free', on('cache'))
  await new Promise((wake) => setTimeout(wake, 3000))
  // Doubling from 5 ms there is room for some ten attempts in the seconds that this took.
  expect(difference(await countsOf(op), before).writes).toBeLessThan(60)
  await allow()
  await untilCondition(op, TENANTS, 'frozen', { condition: READY })
})
