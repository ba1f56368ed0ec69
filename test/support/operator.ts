import { Writable } from 'node:stream'
import { KubeConfig } from '@kubernetes/client-node'
import type { Condition } from '@tenantry/crds/conditions.ts'
import type { DatabaseManifest } from '@tenantry/crds/database.ts'
import type { TenantManifest } from '@tenantry/crds/tenant.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { parseConfig } from '@tenantry/operator/config.ts'
import { createClient, type KubeClient } from '@tenantry/operator/kube/client.ts'
import { CONFIG_MAPS, type KubeObject, type ResourceType, SECRETS, type Secret } from '@tenantry/operator/kube/types.ts'
import { DATABASES, type Operator, type OperatorOptions, startOperator, TENANTS } from '@tenantry/operator/operator.ts'
import { createLog } from '@tenantry/operator/telemetry/log.ts'
import { createMetrics, type Metrics } from '@tenantry/operator/telemetry/metrics.ts'
import { afterAll, expect } from 'vitest'
import { applyCrds } from './crds.ts'
import { freshNamespace, freshSuffix, useStack } from './stack.ts'

export interface TestOperator {
  /** A client of the test's own: its requests are not the operator's. */
  readonly kube: KubeClient
  readonly namespace: string
  readonly installation: string
  readonly metrics: Metrics
  /** The operator as it runs now; replaced by `restart`. */
  readonly operator: () => Operator
  /** Everything it logged so far. */
  readonly logged: () => string
  readonly restart: () => Promise<void>
  readonly applyTenant: (manifest: Manifest<TenantManifest>, namespace?: string) => Promise<KubeObject>
  readonly applyDatabase: (manifest: Manifest<DatabaseManifest>, namespace?: string) => Promise<KubeObject>
  readonly applySecret: (name: string, connection: Partial<Connection>) => Promise<void>
  readonly applyFiles: (name: string, files: Readonly<Record<string, string>>) => Promise<void>
  readonly secret: (name: string, namespace?: string) => Promise<Readonly<Record<string, string>>>
}

/** What a test says of an object: the rest is filled in. */
export interface Manifest<M extends { readonly spec: unknown }> {
  readonly name: string
  readonly spec: M['spec']
  readonly annotations?: Readonly<Record<string, string>>
}

export async function startTestOperator(
  env: Readonly<Record<string, string>> = {},
  extra: Pick<OperatorOptions, 'tracing'> = {},
): Promise<TestOperator> {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(useStack().kubeconfig)
  const kube = createClient({ kubeConfig })
  await installCrds(kube)
  const namespace = await freshNamespace()
  const installation = `test-${freshSuffix()}`
  const config = parseConfig({ TENANTRY_INSTALLATION: installation, TENANTRY_SELECTOR: `test=${installation}`, ...env })
  const lines: string[] = []
  const destination = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk))
      done()
    },
  })
  const metrics = createMetrics()
  const start = (): Operator =>
    startOperator({
      config,
      kubeConfig,
      metrics,
      log: createLog({ level: 'debug', destination }),
      instance: installation,
      namespace,
      ...extra,
    })
  let operator = start()
  afterAll(async () => {
    await operator.stop()
    await kube.close()
  })
  const labels = { test: installation }
  const apply = <M extends { readonly spec: unknown }>(
    type: ResourceType,
    { name, spec, annotations }: Manifest<M>,
    at = namespace,
  ) =>
    kube.apply(
      type,
      { metadata: { namespace: at, name, labels, ...(annotations && { annotations }) }, spec } as KubeObject,
      { force: true },
    )
  return {
    kube,
    namespace,
    installation,
    metrics,
    operator: () => operator,
    logged: () => lines.join(''),
    restart: async () => {
      await operator.stop()
      operator = start()
    },
    applyTenant: (manifest, at) => apply(TENANTS, manifest, at),
    applyDatabase: (manifest, at) => apply(DATABASES, manifest, at),
    applySecret: async (name, connection) => {
      await kube.apply(SECRETS, { metadata: { namespace, name }, data: encode(connection) } as Secret, { force: true })
    },
    applyFiles: async (name, data) => {
      await kube.apply(CONFIG_MAPS, { metadata: { namespace, name }, data } as KubeObject, { force: true })
    },
    secret: async (name, at = namespace) => {
      const found = await kube.get(SECRETS, { namespace: at, name })
      return Object.fromEntries(
        Object.entries(found?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
      )
    },
  }
}

interface Conditioned extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[]; readonly observedGeneration?: number }
}

/** Waits until a condition of an object is as wanted for its present generation; shows all conditions when it never is. */
export async function untilCondition<T extends KubeObject>(
  { kube, namespace }: TestOperator,
  type: ResourceType<T>,
  name: string,
  { condition, at = namespace }: { condition: Partial<Condition>; at?: string },
): Promise<T> {
  let last: Conditioned | undefined
  await until(`${type.kind} ${at}/${name} to have ${JSON.stringify(condition)}`, async () => {
    last = (await kube.get(type, { namespace: at, name })) as Conditioned | undefined
    const found = last?.status?.conditions?.find((one) => one.type === condition.type)
    expect(last?.status?.conditions ?? [], name).toContainEqual(expect.objectContaining(condition))
    expect(found?.observedGeneration).toBe(last?.metadata.generation)
  })
  return last as unknown as T
}

/** Tries until `check` does not throw, for a minute; then throws what it threw last. */
export async function until(what: string, check: () => Promise<void>): Promise<void> {
  const giveUpAt = performance.now() + 60_000
  for (;;) {
    try {
      await check()
      return
    } catch (error) {
      if (performance.now() > giveUpAt) throw new Error(`waited in vain for ${what}`, { cause: error })
    }
    await new Promise((wake) => setTimeout(wake, 100))
  }
}

function encode(connection: Partial<Connection>): Record<string, string> {
  const { tls: _tls, ...rest } = connection
  return Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, Buffer.from(String(value)).toString('base64')]),
  )
}

export async function installCrds(kube: KubeClient): Promise<void> {
  await applyCrds(kube)
  await until('the custom resources to be served', async () => {
    await kube.list(TENANTS, { limit: 1 })
    await kube.list(DATABASES, { limit: 1 })
  })
}
