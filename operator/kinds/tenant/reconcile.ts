import { ANNOTATIONS, isSet, writePlacement } from '@tenantry/crds/annotations.ts'
import { parseDuration } from '@tenantry/crds/common.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { defectStatus } from '../../reconcile/findings.ts'
import type { Outcome } from '../../reconcile/model.ts'
import { type Next, nextAfter } from '../../reconcile/next.ts'
import { claim, ownerOf, release, writeStatus } from '../../reconcile/object.ts'
import { reconcileTargets } from '../../reconcile/pipeline.ts'
import { report } from '../../reconcile/report.ts'
import type { World } from '../../world.ts'
import { type Defect, defectOf } from '../decode.ts'
import { placementOf, type Resolved, resolveBindings } from './bindings.ts'
import { forget, isCleared, reportOrphans } from './cleanup.ts'
import { conclude, prepare } from './entries.ts'
import { type BindingReport, pausedStatus, tenantStatus } from './status.ts'

/** Brings one Tenant to what its spec says, as far as anything lets it, and writes what is true into its status. */
export async function reconcileTenant(world: World, key: string, signal: AbortSignal): Promise<Next> {
  const tenant = world.tenants.store.get(key)
  if (!tenant) return { when: 'event' }
  const { annotations, deletionTimestamp } = tenant.metadata
  if (isSet(annotations, ANNOTATIONS.paused)) return await pause(world, tenant)
  const defect = defectOf(tenant)
  const mayGo =
    deletionTimestamp !== undefined && (defect?.deletable !== false || isSet(annotations, ANNOTATIONS.abandon))
  if (defect && !mayGo) return await stall(world, tenant, defect)
  return deletionTimestamp ? await remove(world, tenant, signal) : await keep(world, tenant, signal)
}

/** Nothing is done on the strength of a spec that cannot be read, and what was made before stays. */
async function stall(world: World, tenant: Tenant, { message }: Defect): Promise<Next> {
  const at = { now: world.clock.now(), generation: tenant.metadata.generation }
  await writeStatus(world, world.tenants, tenant, defectStatus(tenant.status, message, at))
  return { when: 'event' }
}

/** Nothing is looked at and nothing is written but that fact. */
async function pause(world: World, tenant: Tenant): Promise<Next> {
  await writeStatus(world, world.tenants, tenant, pausedStatus(tenant, world.clock.now()))
  return { when: 'event' }
}

async function keep(world: World, seen: Tenant, signal: AbortSignal): Promise<Next> {
  const resolved = await resolveBindings(world, seen)
  const tenant = await claimPlaces(world, seen, resolved)
  const { reports, outcome } = await run(world, tenant, resolved, signal)
  const cleared = reports.filter((one) => !one.entry && isCleared(tenant, one))
  await forget(world, tenant, cleared)
  const kept = reports.filter((one) => !cleared.includes(one))
  await writeStatus(world, world.tenants, tenant, tenantStatus(tenant, kept, outcome, world.clock.now()))
  return nextFor(kept, outcome)
}

/** Nothing can be made without a place, so a Tenant without one needs no finalizer. */
async function claimPlaces(world: World, tenant: Tenant, resolved: readonly Resolved[]): Promise<Tenant> {
  const placement = placementOf(resolved)
  if (Object.keys(placement).length === 0) return tenant
  return await claim(world, world.tenants, tenant, { [ANNOTATIONS.placement]: writePlacement(placement) })
}

async function remove(world: World, tenant: Tenant, signal: AbortSignal): Promise<Next> {
  const { reports, outcome } = await run(world, tenant, await resolveBindings(world, tenant), signal)
  const left = reports.filter((one) => !isCleared(tenant, one))
  const abandoned = isSet(tenant.metadata.annotations, ANNOTATIONS.abandon)
  if (left.length === 0 || abandoned) {
    reportOrphans(world, tenant, abandoned ? left : reports.filter(({ problem }) => problem))
    await release(world, world.tenants, tenant)
    return { when: 'event' }
  }
  await writeStatus(world, world.tenants, tenant, tenantStatus(tenant, left, outcome, world.clock.now()))
  return nextFor(left, outcome)
}

async function run(
  world: World,
  tenant: Tenant,
  resolved: readonly Resolved[],
  signal: AbortSignal,
): Promise<{ reports: readonly BindingReport[]; outcome: Outcome }> {
  const prepared = await Promise.all(resolved.map((one) => prepare(world, tenant, one)))
  const targets = prepared.flatMap(({ target }) => (target ? [target] : []))
  const outcome = await reconcileTargets(ownerOf(world, 'Tenant', tenant), targets, signal)
  report(world, 'Tenant', tenant, outcome)
  const reports = await Promise.all(prepared.map((one) => conclude(world, tenant, one, outcome)))
  return { reports, outcome }
}

function nextFor(reports: readonly BindingReport[], outcome: Outcome): Next {
  const errors = reports.flatMap(({ problem }) => (problem ? [problem] : []))
  const unfinished = outcome.targets.some(({ error, remaining }) => !error && remaining.length > 0)
  if (unfinished) return { when: 'backoff' }
  const leaking = reports.some(({ verdict }) => verdict?.proof.verdict === 'leaking')
  const waiting = leaking || outcome.targets.some(({ held }) => held.length > 0)
  const intervals = reports.flatMap(({ binding }) => (binding ? [parseDuration(binding.database.spec.interval)] : []))
  return nextAfter(errors, waiting, Math.min(...intervals, 300_000))
}
