/** One run of a suite: fault-free to learn from, or with one fault. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createInformer } from '@tenantry/operator/kube/reflector.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { silentLog } from '@tenantry/operator/telemetry/log.ts'
import { cleanUp } from './clean-up.ts'
import { type Difference, type Digest, differences, digest } from './digest/digest.ts'
import { countPostgres } from './digest/postgres.ts'
import { FOLLOWS, type Gate } from './gate.ts'
import { freshRun } from './lab.ts'
import { findLeaks } from './leaks.ts'
import { createLife, type Stage, tried } from './lifecycles/life.ts'
import { PLATFORM } from './lifecycles/platform.ts'
import type { Lifecycle } from './lifecycles/steps.ts'
import { SUITES } from './lifecycles/suites.ts'
import { createNames } from './names.ts'
import { type OperatorProcess, type Patch, startOperatorProcess } from './operator.ts'
import type { Fault } from './plan.ts'
import type { Reference } from './reference.ts'
import type { Slot } from './slot.ts'

/** Twice the drift interval and its jitter, without a write. */
const QUIET_MS = 2_400
const SETTLE_MS = 90_000
const STUCK_MS = 3_000

export interface RunOptions {
  readonly suite: string
  readonly fault?: Fault
  /** What to compare with; without it the run is one to learn from. */
  readonly reference?: Reference
  readonly patches?: readonly Patch[]
  /** Longest wait of one step, in milliseconds. */
  readonly patienceMs?: number
}

export interface Evidence {
  readonly digest: Digest
  /** How often each thing was created or dropped. */
  readonly counts: Readonly<Record<string, number>>
  /** Every write in the order in which it came, as `target key`. */
  readonly writes: readonly { readonly target: string; readonly key: string; readonly nth: number }[]
  /** Everything that is wrong, in words. Empty: the run converged. */
  readonly findings: readonly string[]
  readonly struck: boolean
  readonly seconds: number
  readonly said: string
}

export async function runSuite(slot: Slot, options: RunOptions): Promise<Evidence> {
  const started = performance.now()
  const { gate } = slot
  const stopped = new AbortController()
  const stage = openStage(slot, stopped.signal, options.patienceMs)
  const { names } = stage
  let operator: OperatorProcess | undefined
  gate.arm(
    options.fault,
    names.canonical,
    slot.hands(() => operator as OperatorProcess),
  )
  operator = startOperatorProcess({
    dir: slot.dir,
    kubeconfig: slot.api.kubeconfig,
    installation: names.run,
    patches: options.patches ?? [],
    replicas: options.fault?.kind.startsWith('failover') ? 2 : 1,
  })
  try {
    const findings = [...(await live(stage, options.suite))]
    // What is stuck has diverged: what else there is to say is only for who reads it.
    const patience = findings.length > 0 ? STUCK_MS : Math.min(SETTLE_MS, options.patienceMs ?? SETTLE_MS)
    const settled = await settle(slot, stage, options.reference, patience)
    findings.push(...settled.findings, ...(await findLeaks(slot, stage, operator)), ...staleWrites(gate, options.fault))
    if (operator.crashes() > 0) findings.push(`the operator ended by itself ${operator.crashes()} times`)
    const writes = numbered(gate.seen)
    return {
      ...{ digest: settled.digest, counts: settled.counts, writes, findings, struck: gate.hit !== undefined },
      seconds: (performance.now() - started) / 1000,
      said: operator.said(),
    }
  } finally {
    await operator.stop()
    stopped.abort()
    await cleanUp(stage)
  }
}

/** A run of its own, with everything that lifecycles need. */
export function openStage({ lab, ports }: Slot, signal: AbortSignal, patienceMs = 120_000): Stage {
  const names = createNames(freshRun())
  const common = { client: lab.kube, labelSelector: `chaos=${names.run}`, log: silentLog }
  const stage: Stage = {
    ...{ lab, names, ports, made: new Set<string>(), credentials: new Map<string, string>(), patienceMs },
    tenants: createInformer({ ...common, type: TENANTS }),
    databases: createInformer({ ...common, type: DATABASES }),
  }
  stage.tenants.start(signal)
  stage.databases.start(signal)
  return stage
}

/** Runs the lifecycles side by side; resolves to what got stuck. */
async function live(stage: Stage, suite: string): Promise<readonly string[]> {
  const platform = await tell(stage, PLATFORM)
  if (platform) return [platform]
  const told = await Promise.all((SUITES[suite] ?? []).map((lifecycle) => tell(stage, lifecycle)))
  return told.flatMap((finding) => finding ?? [])
}

export async function tell(stage: Stage, { name, steps }: Lifecycle): Promise<string | undefined> {
  const life = await createLife(stage, name)
  for (const [index, { title, run }] of steps.entries()) {
    try {
      await tried(() => run(life))
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return `${name}: stuck at step ${index + 1} (${title}): ${why}; ${states(stage, life.namespace)}`
    }
  }
  return undefined
}

/** What the objects of a namespace say of themselves, for who reads a finding. */
function states({ tenants, databases }: Stage, namespace: string): string {
  const objects = [...tenants.store.list(), ...databases.store.list()].filter(
    ({ metadata }) => metadata.namespace === namespace,
  )
  return objects
    .map(({ kind, metadata, status }) => {
      const conditions = (status?.conditions ?? []).map(
        ({ type, status: is, reason, message }) => `${type}=${is} ${reason} (${message})`,
      )
      return `${kind} ${metadata.name} at ${status?.observedGeneration}/${metadata.generation}: ${conditions.join(', ')}`
    })
    .join('; ')
}

interface Settled {
  readonly digest: Digest
  readonly counts: Readonly<Record<string, number>>
  readonly findings: readonly string[]
}

/**
 * Waits until nothing is written any more and everything is as in the reference; without one, as it was some quiet time
 * before.
 */
async function settle(
  { gate }: Slot,
  stage: Stage,
  reference: Reference | undefined,
  patienceMs: number,
): Promise<Settled> {
  let before: Settled | undefined
  const giveUpAt = performance.now() + patienceMs
  for (;;) {
    while (restlessness(gate).length > 0 && performance.now() < giveUpAt) await sleep(100)
    const settled = await tried(() => look(gate, stage, reference))
    if (isEnd(settled, before, reference) || performance.now() > giveUpAt) {
      return { ...settled, findings: [...settled.findings, ...extraActs(reference, settled.counts)] }
    }
    before = settled
    await sleep(reference ? 500 : 2 * QUIET_MS)
  }
}

function isEnd(now: Settled, before: Settled | undefined, reference: Reference | undefined): boolean {
  if (now.findings.length > 0) return false
  return reference !== undefined || (before !== undefined && sameDigest(before.digest, now.digest))
}

function sameDigest(a: Digest, b: Digest): boolean {
  return differences(a, b, new Set()).length === 0
}

async function look(gate: Gate, stage: Stage, reference: Reference | undefined): Promise<Settled> {
  const found = await digest(stage)
  const counts = countsOf([...(await countPostgres(stage)).map(stage.names.canonical), ...drops(gate.seen)])
  const differing = reference ? differences(reference.digest, found, reference.masked) : []
  return { digest: found, counts, findings: [...restlessness(gate), ...differing.map(describe)] }
}

/** A Database's status may follow its servers' latency now and then; it must not do so at every look. */
function restlessness(gate: Gate): readonly string[] {
  const since = performance.now() - QUIET_MS
  const followed = gate.seen.filter(({ key, at }) => at > since && FOLLOWS.test(key)).map(({ key }) => key)
  if (gate.quietMs() >= QUIET_MS && new Set(followed).size === followed.length) return []
  return [`writes do not end: ${lastWrites(gate.seen)}`]
}

function describe({ path, want, got }: Difference): string {
  return `${path}: wanted ${want ?? 'nothing'}, found ${got ?? 'nothing'}`
}

/** A drop or creation more than without the fault hides a loss of data even where the end looks alike. */
function extraActs(reference: Reference | undefined, counts: Readonly<Record<string, number>>): readonly string[] {
  if (!reference) return []
  const { counts: wanted, loose } = reference
  return Object.entries(counts)
    .filter(([act, count]) => !loose.has(act) && count > (wanted[act] ?? 0))
    .map(([act, count]) => `done ${count} times, ${wanted[act] ?? 0} without the fault: ${act}`)
}

const DROPS = /^(?:DELETE |.*\b(?:DROP|UNLINK|DELUSER|HDEL|TRUNCATE)\b)/

function drops(seen: Slot['gate']['seen']): readonly string[] {
  return seen.filter(({ key, done }) => done === true && DROPS.test(key)).map(({ target, key }) => `${target} ${key}`)
}

/** No pause is over, and no other leads, before this. */
const SUCCEEDED_MS = 4_000
/** ClickHouse has no transactions: what was on its way there when the leader changed is done (docs/adr/0008-fencing.md). */
const FENCED_WRITE =
  /^(?:postgres (?!CREATE SCHEMA IF NOT EXISTS tenantry_fence|.*pg_terminate_backend)|redis (?:ACL|HSET|HSETNX|HDEL|UNLINK) )/

/** A write of the leader that was paused, done although its successor had written to the same server meanwhile. */
function staleWrites({ seen, hit }: Gate, fault: Fault | undefined): readonly string[] {
  if (
    fault?.kind !== 'failover-pause' ||
    !hit?.done ||
    !hit.succeeded ||
    !FENCED_WRITE.test(`${hit.target} ${hit.key}`)
  )
    return []
  const { target, place, at } = hit
  const later = seen.find(
    (write) =>
      write.target === target &&
      write.place === place &&
      write.done === true &&
      write.at > at + SUCCEEDED_MS &&
      write.at < at + (fault.ms ?? 0) &&
      FENCED_WRITE.test(`${target} ${write.key}`),
  )
  return later ? [`a write of a leader that was over was accepted: ${target} ${hit.key}, after ${later.key}`] : []
}

function countsOf(acts: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const act of acts) counts[act] = (counts[act] ?? 0) + 1
  return counts
}

function lastWrites(seen: Slot['gate']['seen']): string {
  return [...new Set(seen.slice(-6).map(({ target, key }) => `${target} ${key}`))].join(' | ')
}

function numbered(seen: Slot['gate']['seen']): Evidence['writes'] {
  const counts = new Map<string, number>()
  return seen.map(({ target, key }) => {
    const nth = (counts.get(`${target} ${key}`) ?? 0) + 1
    counts.set(`${target} ${key}`, nth)
    return { target, key, nth }
  })
}
