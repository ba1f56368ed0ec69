import { AppError, asAppError } from '@tenantry/crds/errors.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { Outcome, Target, TargetOutcome } from '../../reconcile/model.ts'
import { ownerOf } from '../../reconcile/object.ts'
import type { World } from '../../world.ts'
import { filesForTenant, mayBegin } from '../database/rollout/files-for.ts'
import { isFileFault, type Progress, progressOf } from '../database/rollout/progress.ts'
import { tenantUnit } from '../database/rollout/units.ts'
import type { Wanted } from '../database/rollout/wanted.ts'
import { withRepairs } from '../drift/repairs.ts'
import type { Binding, Resolved } from './bindings.ts'
import { tenantTarget } from './desired.ts'
import { type Credential, ensureCredentials } from './secrets.ts'
import type { BindingReport } from './status.ts'
import { type Verdict, verify } from './verify.ts'

/** An entry that is ready for the pipeline, or has a problem already. */
export interface Prepared {
  readonly resolved: Resolved
  readonly credentials: readonly Credential[]
  readonly wanted: Wanted
  readonly target?: Target
  readonly problem?: AppError
}

/** Gathers what the pipeline needs for one entry; its trouble is kept beside it. */
export async function prepare(world: World, tenant: Tenant, resolved: Resolved): Promise<Prepared> {
  const none = { resolved, credentials: [], wanted: NO_FILES }
  if (!('binding' in resolved)) return { ...none, problem: resolved.problem }
  const { binding } = resolved
  try {
    const wanted = binding.entry ? await filesOf(world, tenant, binding) : NO_FILES
    const credentials = await ensureCredentials(world, tenant, binding)
    const target = tenantTarget(tenant, binding, credentials, wanted)
    const begin = mayBegin(world, binding.database, tenantUnit(tenant, binding.database), wanted)
    const repaired = binding.entry
      ? withRepairs(world, target, { database: binding.database, schema: binding.objectName })
      : target
    const tried: Target['tried'] = (changes, failed) => {
      repaired.tried?.(changes, failed)
      if (failed && isFileFault(failed))
        noteProgress(world, tenant, binding, { schemaState: 'Failed', ...about(wanted) })
    }
    return { resolved, credentials, wanted, target: { ...repaired, mayBegin: begin, tried } }
  } catch (error) {
    return { ...none, problem: asAppError(error, `prepare ${binding.name} of Tenant ${tenant.metadata.name}`) }
  }
}

const NO_FILES: Wanted = { files: [], reverted: [] }

async function filesOf(world: World, tenant: Tenant, binding: Binding): Promise<Wanted> {
  const files = await world.files.read(binding.database)
  assertShardReady(binding)
  return filesForTenant(world, tenant, binding.database, files)
}

/** What the Database itself makes on a shard comes before the first tenant there. */
export function assertShardReady({ database, place: { shard } }: Binding): void {
  const status = database.status?.shards?.find(({ name }) => name === shard)
  if (status?.state !== undefined && status.state !== 'Unreachable' && status.state !== 'Misconfigured') return
  const detail = status?.message ?? 'it was not looked at yet'
  throw new AppError(
    'DatabaseNotReady',
    `shard ${shard} of Database ${database.metadata.namespace}/${database.metadata.name}: ${detail}`,
  )
}

/** What came of one entry once the pipeline has run: proof of isolation, version of its tables, and what is in the way. */
export async function conclude(
  world: World,
  tenant: Tenant,
  prepared: Prepared,
  outcomes: Outcome,
): Promise<BindingReport> {
  const { resolved, credentials, wanted } = prepared
  const { name, entry } = resolved
  if (!('binding' in resolved))
    return { name, entry, credentials, problem: resolved.problem, ...(resolved.place && { place: resolved.place }) }
  const { binding } = resolved
  const outcome = outcomes.targets.find(({ target }) => target.label === name)
  if (!outcome) {
    const { problem } = prepared
    return { name, entry, binding, place: binding.place, credentials, ...(problem && { problem }) }
  }
  const drift = world.drift.get(binding.shard.id, binding.objectName)?.answer
  const verdict = await verify(ownerOf(world, 'Tenant', tenant), tenant, binding, { outcome, credentials })
  const report = reportOf({ binding, credentials, wanted, outcome, verdict })
  if (report.progress) noteProgress(world, tenant, binding, report.progress)
  return { ...report, ...(drift && { drift }) }
}

function about({ digest }: Wanted): Pick<Progress, 'schemaDigest'> {
  return digest === undefined ? {} : { schemaDigest: digest }
}

/** At once: whoever is about to begin is held up by those who failed. */
function noteProgress({ brakes }: World, { metadata }: Tenant, { database }: Binding, progress: Progress): void {
  const { schemaState, schemaDigest: digest } = progress
  const key = `${metadata.namespace}/${metadata.name}`
  brakes.note(database, { key, failed: schemaState === 'Failed', ...(digest !== undefined && { digest }) })
}

/** One entry's report once its target has an outcome. Pure. */
export function reportOf(parts: {
  readonly binding: Binding
  readonly credentials: readonly Credential[]
  readonly wanted: Wanted
  readonly outcome: TargetOutcome
  readonly verdict: Verdict | undefined
}): BindingReport {
  const { binding, credentials, wanted, outcome, verdict } = parts
  const schemaVersion = versionOf(binding, outcome.found)
  const problem = outcome.error ?? verdict?.error ?? behind(binding, wanted, schemaVersion)
  const progress = progressOf(wanted, outcome)
  return {
    name: binding.name,
    entry: binding.entry,
    binding,
    place: binding.place,
    credentials,
    outcome,
    ...(verdict && { verdict }),
    ...(schemaVersion !== undefined && { schemaVersion }),
    ...(progress && { progress }),
    ...(problem && { problem }),
  }
}

function versionOf({ shard, database, objectName, shared }: Binding, found: unknown): string | undefined {
  if (found === undefined) return undefined
  return shard.engine.schemaVersion(database.spec.isolation === 'Row' ? shared : objectName, found)
}

/** Tables of the tenant's own come in its plan; shared ones are the Database's to bring, and the tenant waits for them. */
function behind(
  { database, entry, place }: Binding,
  { files }: Wanted,
  version: string | undefined,
): AppError | undefined {
  const target = files.at(-1)?.version
  if (!entry || database.spec.isolation !== 'Row' || target === undefined || version === target) return undefined
  const at = version === undefined ? 'have no tables yet' : `are at ${version}`
  return new AppError('DatabaseNotReady', `the shared tables on shard ${place.shard} ${at} and are to be at ${target}`)
}
