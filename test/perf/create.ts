/** `create`: how fast new tenants over three engines become ready, beside the floor. */
import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { createInformer, type Informer } from '@tenantry/operator/kube/reflector.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { silentLog } from '@tenantry/operator/telemetry/log.ts'
import { isReady } from '../../hack/start/tenants.ts'
import { type Api, openApi, secretsPath, tenantsPath } from './api.ts'
import { type CpuTimes, cpuGrowth, cpuTimes } from './cpu.ts'
import { type Options, renderCreate } from './create-report.ts'
import { type Floor, openFloor } from './floor/floor.ts'
import { type Counters, growth, parseMetrics } from './metrics.ts'
import { apiWrites, grownSince, phasesOfOperator } from './operator-cost.ts'
import { type Platform, SIDE, withPlatform } from './platform.ts'
import type { Phase } from './stopwatch.ts'
import { createTenants, tenantNames } from './tenants.ts'

/** Made on each side before anything is measured, so that both run warm. */
const WARM_UP = 8
/** Nobody became ready for so long: something is wrong. */
const STUCK_MS = 120_000

export interface FloorRound {
  readonly seconds: number
  readonly phases: ReadonlyMap<string, Phase>
  readonly cpu: CpuTimes
}

export interface OperatorRound {
  readonly seconds: number
  /** From sending the creation to seeing the tenant ready, in milliseconds. */
  readonly latencies: readonly number[]
  /** For each tenant. */
  readonly apiWrites: number
  readonly phases: ReadonlyMap<string, Phase>
  readonly cpu: CpuTimes
}

/** Runs floor and operator in turns, fresh tenants each time. Resolves to what is to be printed, JSON on the last line. */
export async function create(options: Options): Promise<string> {
  return await withPlatform(options, async (platform) => {
    const api = await openApi(platform.kubeConfig)
    const floor = openFloor(platform, api)
    const watching = new AbortController()
    const informer = watchTenants(platform, watching.signal)
    try {
      await informer.synced()
      return await measure({ platform, api, floor, informer, options })
    } finally {
      watching.abort()
      await floor.close()
      await api.close()
    }
  })
}

function watchTenants({ kube: client, namespace }: Platform, signal: AbortSignal): Informer<Tenant> {
  const labelSelector = `${SIDE}=operator`
  const informer = createInformer({ client, type: TENANTS, namespace, labelSelector, log: silentLog })
  informer.start(signal)
  return informer
}

interface Bench {
  readonly platform: Platform
  readonly api: Api
  readonly floor: Floor
  readonly informer: Informer<Tenant>
  readonly options: Options
}

async function measure(bench: Bench): Promise<string> {
  const { tenants, runs, log } = bench.options
  const warm = tenantNames('operator', 0, WARM_UP)
  await runOperator(bench, warm)
  const sample = await takeSample(bench, warm)
  await runFloor(bench, tenantNames('floor', 0, WARM_UP), sample)
  log('Both sides are warm')
  const floors: FloorRound[] = []
  const operators: OperatorRound[] = []
  for (let round = 1; round <= runs; round++) {
    const floor = await runFloor(bench, tenantNames('floor', round, tenants), sample)
    log(`Run ${round} of ${runs}: the floor took ${floor.seconds.toFixed(1)} s for ${tenants} tenants`)
    floors.push(floor)
    const operator = await runOperator(bench, tenantNames('operator', round, tenants))
    log(`Run ${round} of ${runs}: the operator took ${operator.seconds.toFixed(1)} s`)
    operators.push(operator)
    await removeOperators(bench)
  }
  return renderCreate(bench.options, floors, operators)
}

async function runFloor({ floor, platform, api }: Bench, names: readonly string[], like: Tenant): Promise<FloorRound> {
  const { seconds, watch, cpu } = await floor.run(names, like)
  await untilNoSecrets(platform, api)
  return { seconds, phases: watch.phases(), cpu }
}

/** A ready tenant, whose status and placement show how large they are; then the warm-up's tenants are removed. */
async function takeSample(bench: Bench, names: readonly string[]): Promise<Tenant> {
  const { platform, informer } = bench
  const sample = informer.store.get(`${platform.namespace}/${names[0]}`)
  if (!sample) throw new Error(`Tenant ${names[0]} is gone`)
  await removeOperators(bench)
  return sample
}

async function runOperator({ platform, api, informer }: Bench, names: readonly string[]): Promise<OperatorRound> {
  const sent = new Map<string, number>()
  const latencies = new Map<string, number>()
  const progress = watchProgress(informer, names, (name) => {
    latencies.set(name, performance.now() - (sent.get(name) ?? 0))
  })
  const server = async (): Promise<Counters> => parseMetrics(await api.send('GET', '/metrics'))
  const [before, served] = await Promise.all([platform.metrics(), server()])
  const cpu = cpuTimes()
  const begin = performance.now()
  const sending = (name: string): void => void sent.set(name, performance.now())
  await Promise.all([createTenants(api, platform, { names, side: 'operator' }, { sending }), progress])
  const seconds = (performance.now() - begin) / 1000
  const spent = cpuGrowth(cpu, cpuTimes(), names.length)
  const grown = await grownSince(before, names.length, () => platform.metrics())
  return {
    seconds,
    latencies: [...latencies.values()],
    apiWrites: apiWrites(growth(served, await server())) / names.length,
    phases: phasesOfOperator(grown),
    cpu: spent,
  }
}

/** Resolves when all are ready; rejects, with the reason that one of them gives, when none becomes so any more. */
async function watchProgress(
  { store }: Informer<Tenant>,
  names: readonly string[],
  onReady: (name: string) => void,
): Promise<void> {
  const missing = new Set(names)
  const done = Promise.withResolvers<void>()
  const giveUp = (): void => {
    const stuck = store.list().find(({ metadata }) => missing.has(metadata.name))
    const why = JSON.stringify(stuck?.status ?? 'it has no status')
    done.reject(new Error(`${missing.size} tenants do not become ready, ${stuck?.metadata.name} among them: ${why}`))
  }
  let timer = setTimeout(giveUp, STUCK_MS)
  const stop = store.onChange(({ type, object }) => {
    if (type === 'deleted' || !isReady(object) || !missing.delete(object.metadata.name)) return
    onReady(object.metadata.name)
    clearTimeout(timer)
    timer = setTimeout(giveUp, STUCK_MS)
    if (missing.size === 0) done.resolve()
  })
  try {
    await done.promise
  } finally {
    clearTimeout(timer)
    stop()
  }
}

/** The operator deletes what it made; not measured. */
async function removeOperators({ platform, api, informer }: Bench): Promise<void> {
  await api.send('DELETE', `${tenantsPath(platform.namespace)}?labelSelector=${SIDE}=operator`)
  await until('the tenants to be deleted', async () => informer.store.size === 0)
  await untilNoSecrets(platform, api)
}

/** Collecting Secrets after their Tenants would disturb the next run. */
async function untilNoSecrets({ namespace }: Platform, api: Api): Promise<void> {
  const path = `${secretsPath(namespace)}?limit=1&labelSelector=${LABEL_MANAGED}`
  await until('the Secrets to be collected', async () => JSON.parse(await api.send('GET', path)).items.length === 0)
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + STUCK_MS
  while (!(await check())) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain for ${what}`)
    await new Promise((wake) => setTimeout(wake, 100))
  }
}
