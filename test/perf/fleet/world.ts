/** A stack with a fleet's servers and Databases, and tenants made in bulk. */
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { parseConfig } from '@tenantry/operator/config.ts'
import type { KubeClient } from '@tenantry/operator/kube/client.ts'
import { NAMESPACES, SECRETS, type Secret } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { isReady } from '../../../hack/start/tenants.ts'
import { type Api, openApi } from '../api.ts'
import type { Options } from '../create-report.ts'
import { type Counters, parseMetrics } from '../metrics.ts'
import { NAMESPACE, openKube, SIDE, type Started, untilReady, withStack } from '../platform.ts'
import { type OperatorProcess, startProcess, until } from './operator-process.ts'
import { sampleTenants, seed } from './seed.ts'
import { type Servers, startServers } from './servers.ts'
import type { Sample } from './template.ts'
import { type FleetTier, makeTier, placementOf, tiersOf } from './tiers.ts'
import { untilDone } from './watch.ts'

export interface FleetOptions extends Options {
  /** See servers.ts. */
  readonly postgresServers: number
  /** Of the drift check, in seconds. */
  readonly interval: number
  /** New tenants of each part of `fair`. */
  readonly newcomers: number
}

export interface Fleet {
  readonly options: FleetOptions
  readonly api: Api
  readonly kube: KubeClient
  readonly tiers: readonly FleetTier[]
  readonly shards: number
  /** Tenants that the operator made itself, beside those of `grow`. */
  readonly samples: number
  /** Starts an operator; all that still run are ended with the fleet. */
  start(settings?: { readonly profile?: string | undefined }): Promise<OperatorProcess>
  /** What one resync comes to over so many tenants and the samples. */
  goalOf(tenants: number): { readonly wholeReads: number; readonly comparisons: number; readonly signal: AbortSignal }
  /** Makes tenants until there are so many, and lets an operator look at them once. */
  grow(to: number): Promise<void>
  /** The API server's metrics. */
  served(): Promise<Counters>
  setInterval(interval: string): Promise<void>
}

/** Brings it all up, runs `use`, and takes it all down again. `reach` may put something in the way to a server. */
export async function withFleet<T>(
  options: FleetOptions,
  use: (fleet: Fleet) => Promise<T>,
  reach: (servers: Servers) => Servers = (servers) => servers,
): Promise<T> {
  return await withStack(options, async (started) => {
    const { kubeConfig, kube } = await openKube(started, options.signal)
    const api = await openApi(kubeConfig)
    const servers = await startServers(started, options)
    const running: OperatorProcess[] = []
    try {
      const fleet = await makeFleet({ started, options, kube, api, running, tiers: tiersOf(reach(servers)) })
      return await use(fleet)
    } finally {
      await Promise.all(running.map((operator) => operator.kill()))
      await servers.close()
      await api.close()
      await kube.close()
    }
  })
}

interface Parts {
  readonly started: Started
  readonly options: FleetOptions
  readonly kube: KubeClient
  readonly api: Api
  readonly running: OperatorProcess[]
  readonly tiers: readonly FleetTier[]
}

async function makeFleet(parts: Parts): Promise<Fleet> {
  const { options, kube, api, running, tiers } = parts
  const { signal, log } = options
  const settings = { ...ownSettings(), TENANTRY_INSTALLATION: 'bench' }
  const config = parseConfig(settings)
  const start: Fleet['start'] = async ({ profile } = {}) => {
    const name = `operator-${running.length}`
    const { kubeconfig, logs } = parts.started.stack
    const operator = await startProcess({ kubeconfig, settings, logs, name, profile })
    running.push(operator)
    return operator
  }
  await kube.create(NAMESPACES, { metadata: { name: NAMESPACE } })
  for (const tier of tiers) await makeTier(kube, tier, `${options.interval}s`)
  const samples = await makeSamples(parts, await start())
  const shards = tiers.reduce((sum, tier) => sum + tier.shards.length, 0)
  const goalOf: Fleet['goalOf'] = (tenants) => {
    return { wholeReads: shards, comparisons: (tenants + samples.size) * tiers.length, signal }
  }
  let count = 0
  return {
    ...{ options, api, kube, tiers, shards, start, goalOf, samples: samples.size },
    grow: async (to) => {
      const begin = performance.now()
      await seed({ api, config, tiers, samples, labels: { [SIDE]: 'fleet' }, log, signal }, count, to)
      log(`${to - count} tenants were made in ${Math.round((performance.now() - begin) / 1000)} s`)
      count = to
      await settle(await start(), goalOf(to))
      log('The operator has seen them once')
    },
    served: async () => parseMetrics(await api.send('GET', '/metrics')),
    setInterval: async (interval) => {
      for (const { name } of tiers) {
        await kube.patch(DATABASES, { namespace: NAMESPACE, name }, { spec: { interval } }, { type: 'merge' })
      }
    },
  }
}

/** How large servers are is part of the Databases' status: it is brought up to date before anything is measured. */
async function settle(
  operator: OperatorProcess,
  goal: { wholeReads: number; comparisons: number; signal: AbortSignal },
): Promise<void> {
  await untilDone(operator, goal, new Map())
  await operator.stop()
}

function ownSettings(): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => name.startsWith('TENANTRY_'))
  return Object.fromEntries(own.map(([name, value]) => [name, value ?? '']))
}

/** The operator makes a tenant for each placement, from which all others are copied. */
async function makeSamples(
  { kube, tiers, options }: Parts,
  operator: OperatorProcess,
): Promise<ReadonlyMap<string, Sample>> {
  const { signal, log } = options
  for (const { name } of tiers) await untilReady(kube, name, signal)
  const samples = new Map<string, Sample>()
  const made = sampleTenants(tiers)
  for (const { tenant } of made) await kube.create(TENANTS, tenant as Tenant)
  for (const [index, { name }] of made.entries()) {
    const key = { namespace: NAMESPACE, name }
    const tenant = await until(`${name} to be ready`, () => readyTenant(kube, key), { signal, timeoutMs: 120_000 })
    samples.set(placementOf(tiers, index), { tenant, secrets: await secretsOf(kube, tenant) })
  }
  await operator.stop()
  log(`${made.length} samples are ready`)
  return samples
}

async function readyTenant(kube: KubeClient, key: { namespace: string; name: string }): Promise<Tenant | undefined> {
  const tenant = await kube.get(TENANTS, key)
  return tenant && isReady(tenant) ? tenant : undefined
}

async function secretsOf(kube: KubeClient, { metadata: { namespace }, status }: Tenant): Promise<Sample['secrets']> {
  const found = new Map<string, Secret>()
  for (const { name, secretName } of status?.databases ?? []) {
    const secret = secretName === undefined ? undefined : await kube.get(SECRETS, { namespace, name: secretName })
    if (secret) found.set(name, secret)
  }
  return found
}
