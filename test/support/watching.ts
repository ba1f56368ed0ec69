/** What tests look at and do by hand, from outside, on an operator at work. */
import { ANNOTATIONS, readPlacement } from '@tenantry/crds/annotations.ts'
import type { Condition } from '@tenantry/crds/conditions.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { EVENTS, type KubeEvent, type ResourceType, SECRETS } from '@tenantry/operator/kube/types.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { expect } from 'vitest'
import { type TestOperator, until } from './operator.ts'

/** Sets annotations of an object as a person does; null takes one away. */
export async function annotate(
  { kube, namespace }: TestOperator,
  type: ResourceType,
  name: string,
  annotations: Partial<Readonly<Record<keyof typeof ANNOTATIONS, string | null>>>,
): Promise<void> {
  const named = Object.entries(annotations).map(([key, value]) => [ANNOTATIONS[key as keyof typeof ANNOTATIONS], value])
  await kube.patch(
    type,
    { namespace, name },
    { metadata: { annotations: Object.fromEntries(named) } },
    { type: 'merge' },
  )
}

export async function getTenant({ kube, namespace }: TestOperator, name: string): Promise<Tenant> {
  const found = await kube.get(TENANTS, { namespace, name })
  if (!found) throw new Error(`there is no Tenant ${name}`)
  return found
}

/** Waits until a condition of a Tenant is as wanted, whichever generation it is about: for what the operator leaves alone. */
export async function untilSays(op: TestOperator, name: string, wanted: Partial<Condition>): Promise<Tenant> {
  await until(`Tenant ${name} to say ${JSON.stringify(wanted)}`, async () => {
    const { status } = await getTenant(op, name)
    expect(status?.conditions?.find(({ type }) => type === wanted.type)).toMatchObject(wanted)
  })
  return await getTenant(op, name)
}

/** Asks for the deletion of a Tenant. */
export async function removeTenant({ kube, namespace }: TestOperator, name: string): Promise<void> {
  await kube.remove(TENANTS, { namespace, name })
}

export async function untilGone({ kube, namespace }: TestOperator, name: string): Promise<void> {
  await until(`Tenant ${name} to be gone`, async () => {
    expect(await kube.get(TENANTS, { namespace, name })).toBeUndefined()
  })
}

/** Names of the Secrets of the namespace that the operator made. */
export async function madeSecrets({ kube, namespace }: TestOperator): Promise<readonly string[]> {
  const { items } = await kube.list(SECRETS, { namespace, labelSelector: 'tenantry.dev/managed=true' })
  return items.map(({ metadata }) => metadata.name)
}

export async function eventsAbout({ kube, namespace }: TestOperator, name: string): Promise<readonly KubeEvent[]> {
  const { items } = await kube.list(EVENTS, { namespace })
  return items.filter(({ regarding }) => regarding.name === name)
}

/**
 * Waits until every Database with tenants has read its shards whole `count` times more: whoever was to find something by
 * then has found it. All Databases of a file have one interval, so that none lags behind the others by more than one.
 */
export async function resyncs(op: TestOperator, count: number): Promise<void> {
  const { items } = await op.kube.list(TENANTS, { namespace: op.namespace })
  const shards = new Set(items.flatMap(({ metadata }) => Object.values(readPlacement(metadata.annotations) ?? {})))
  if (shards.size === 0) throw new Error('no tenant has a place yet: nothing will be read')
  const start = await wholeReads(op)
  await until(`${count} resyncs of ${shards.size} shards`, async () => {
    expect((await wholeReads(op)) - start).toBeGreaterThanOrEqual((count + 1) * shards.size)
  })
}

async function wholeReads({ metrics }: TestOperator): Promise<number> {
  const metric = await metrics.registry.getSingleMetric('tenantry_engine_call_duration_seconds')?.get()
  const values: readonly { value: number; labels: object; metricName?: string }[] = metric?.values ?? []
  return values
    .filter(({ metricName, labels }) => metricName?.endsWith('_count') && 'op' in labels && labels.op === 'observe-all')
    .reduce((sum, { value }) => sum + value, 0)
}
