/** Learns, draws plans, runs them side by side, and collects what came of them. */
import { join } from 'node:path'
import { type Bystander, placeBystander } from './bystander.ts'
import type { Lab } from './lab.ts'
import type { Patch } from './operator.ts'
import { allPlans, type FaultClass, isExclusive, type Plan, samplePlans, titleOf } from './plan.ts'
import { learn, type Reference } from './reference.ts'
import { writeReplay } from './replay.ts'
import { type Evidence, runSuite } from './run.ts'
import { openSlot, type Slot } from './slot.ts'

export interface CampaignOptions {
  readonly lab: Lab
  /** Scratch folder. */
  readonly dir: string
  /** Where plans that diverged are written. */
  readonly out: string
  readonly say: (line: string) => void
  readonly suites: readonly string[]
  readonly classes: readonly FaultClass[]
  readonly plans: number
  readonly seed: number
  /** Plans that run side by side. */
  readonly slots: number
  readonly learnTimes: number
  /** These plans alone. */
  readonly replay?: readonly Plan[]
}

/** `missed`: the write at which to strike never came. */
export type Verdict = 'converged' | 'diverged' | 'missed'

export interface PlanResult {
  readonly plan: Plan
  readonly verdict: Verdict
  readonly seconds: number
  readonly findings: readonly string[]
  readonly file?: string
}

export interface CampaignResult {
  readonly results: readonly PlanResult[]
  readonly points: number
  readonly possible: number
  readonly seconds: number
}

/** What a campaign needs of the servers: slots, and a reference for each suite. */
export interface Ground {
  readonly slots: readonly Slot[]
  readonly references: ReadonlyMap<string, Reference>
  readonly bystander: Bystander
  close(): Promise<void>
}

export async function prepareGround(options: CampaignOptions): Promise<Ground> {
  const { lab, dir, say, learnTimes } = options
  const slots: Slot[] = []
  for (let index = 0; index < options.slots; index++) slots.push(await openSlot(lab, join(dir, `slot-${index}`)))
  const bystander = await placeBystander(lab, join(dir, 'bystander'))
  const suites = options.replay ? [...new Set(options.replay.map(({ suite }) => suite))] : options.suites
  const references = new Map<string, Reference>()
  await inSlots(slots, suites, async (slot, suite) => {
    const started = performance.now()
    const reference = await learn(slot, suite, { times: learnTimes, out: options.out })
    references.set(suite, reference)
    const seconds = ((performance.now() - started) / 1000 / learnTimes).toFixed(1)
    const { points, digest, masked, loose } = reference
    say(
      `learned ${suite}: ${points.length} fault points, ${Object.keys(digest).length} facts, ${masked.size} masked, ${loose.size} loose counts, ${seconds} s a run`,
    )
    for (const path of [...masked, ...loose]) say(`  differs from run to run: ${path}`)
  })
  return {
    slots,
    references,
    bystander,
    close: async () => {
      await bystander.remove()
      await Promise.all(slots.map((slot) => slot.close()))
    },
  }
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const started = performance.now()
  const ground = await prepareGround(options)
  try {
    const points = [...ground.references.values()].flatMap((reference) => reference.points)
    const possible = allPlans(points, options.seed).filter(({ fault }) => options.classes.includes(fault.kind))
    const usable = possible.filter((plan) => options.lab.restart !== undefined || !isExclusive(plan))
    const plans = options.replay ?? samplePlans(usable, options.plans, options.seed)
    const results = await runPlans(ground, plans, options)
    const seconds = (performance.now() - started) / 1000
    return { results, points: points.length, possible: possible.length, seconds }
  } finally {
    await ground.close()
  }
}

export interface RunPlansOptions extends Pick<CampaignOptions, 'out' | 'say'> {
  readonly patches?: readonly Patch[]
  readonly stopAtFirst?: boolean
  readonly patienceMs?: number
}

type PlanOptions = Omit<RunPlansOptions, 'say'> & { readonly reference: Reference; readonly bystander: Bystander }

/** Plans that touch a server for everybody run when no other does. */
export async function runPlans(
  { slots, references, bystander }: Ground,
  plans: readonly Plan[],
  options: RunPlansOptions,
): Promise<readonly PlanResult[]> {
  const results: PlanResult[] = []
  const run = async (slot: Slot, plan: Plan): Promise<void> => {
    if (options.stopAtFirst && results.some(({ verdict }) => verdict === 'diverged')) return
    const reference = references.get(plan.suite)
    if (!reference) throw new Error(`run a plan of suite ${plan.suite}: it was not learned`)
    const result = await runPlan(slot, plan, { ...options, reference, bystander })
    results.push(result)
    tellResult(options.say, result, `${results.length}/${plans.length}`)
  }
  const together = plans.filter((plan) => !isExclusive(plan))
  await inSlots(slots, together, run)
  await inSlots(slots.slice(0, 1), plans.filter(isExclusive), run)
  return results
}

async function runPlan(slot: Slot, plan: Plan, options: PlanOptions): Promise<PlanResult> {
  const { reference, bystander, out, patches = [], patienceMs } = options
  const evidence = await runSuite(slot, {
    suite: plan.suite,
    ...(plan.fault && { fault: plan.fault }),
    reference,
    patches: [...patches, ...patchesFor(plan)],
    ...(patienceMs !== undefined && { patienceMs }),
  }).catch((error: unknown): Pick<Evidence, 'findings' | 'said' | 'struck' | 'seconds'> => {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { findings: [`the harness failed: ${message}`], said: '', struck: true, seconds: 0 }
  })
  const { seconds } = evidence
  const findings = [...evidence.findings, ...(await bystander.changes())]
  if (findings.length > 0) {
    const file = writeReplay(out, plan, { ...evidence, findings })
    return { plan, verdict: 'diverged', seconds, findings, file }
  }
  return { plan, verdict: evidence.struck || !plan.fault ? 'converged' : 'missed', seconds, findings }
}

/** What takes minutes or many seconds by design is shortened: too long to wait for in every plan. */
function patchesFor({ fault }: Plan): readonly Patch[] {
  if (fault?.kind === 'watch-half-open') {
    return [{ file: 'operator/kube/reflector.ts', from: 'STALE_AFTER_MS = 180_000', to: 'STALE_AFTER_MS = 6_000' }]
  }
  if (!fault?.kind.startsWith('failover')) return []
  const file = 'operator/kube/leader.ts'
  return [
    { file, from: 'options.leaseDurationMs ?? 15_000', to: '6_000' },
    { file, from: 'options.renewDeadlineMs ?? 10_000', to: '5_000' },
    { file, from: 'options.retryPeriodMs ?? 2_000', to: '500' },
  ]
}

function tellResult(
  say: (line: string) => void,
  { plan, verdict, seconds, findings, file }: PlanResult,
  count: string,
): void {
  say(`${count} ${verdict} ${seconds.toFixed(1)} s: ${plan.suite} ${titleOf(plan)}`)
  for (const finding of findings.slice(0, 8)) say(`    ${finding.slice(0, 600)}`)
  if (file) say(`    run it again with --replay ${file}`)
}

/** Works through a list with every slot. */
export async function inSlots<T>(
  slots: readonly Slot[],
  list: readonly T[],
  work: (slot: Slot, item: T) => Promise<void>,
): Promise<void> {
  const queue = [...list]
  await Promise.all(
    slots.map(async (slot) => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(slot, item)
    }),
  )
}
