/** The operator with one deliberate defect each, to learn whether the harness would notice. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type CampaignOptions, type Ground, inSlots, type PlanResult, prepareGround, runPlans } from './campaign.ts'
import type { Patch } from './operator.ts'
import { allPlans, type FaultClass, type Plan, samplePlans, titleOf } from './plan.ts'
import type { Slot } from './slot.ts'
import { VARIANTS } from './variant-list.ts'

/** One defect, and where it shows. */
export interface Variant {
  readonly name: string
  readonly patches: readonly Patch[]
  readonly suite: string
  /** The faults under which it shows; without them it shows in a run without any. */
  readonly faults?: { readonly kind: FaultClass; readonly at: RegExp }
}

/** Most plans that a variant is tried with. */
const TRIES = 6
/** A variant that gets stuck is stuck for good: no need to wait for as long as for the real one. */
const PATIENCE_MS = 60_000

interface Detection {
  readonly variant: string
  readonly detected: boolean
  readonly plans: number
  readonly by: string
  readonly finding: string
}

/** Runs the named variants, or `all`; prints what caught each. True when every one was caught. */
export async function runVariants(names: readonly string[], options: CampaignOptions): Promise<boolean> {
  const variants = names.includes('all') ? VARIANTS : VARIANTS.filter(({ name }) => names.includes(name))
  if (variants.length === 0)
    throw new Error(`no such variant: use all or some of ${VARIANTS.map(({ name }) => name).join(', ')}`)
  for (const variant of variants) assertApplies(variant)
  const suites = [...new Set(variants.map(({ suite }) => suite))]
  const ground = await prepareGround({ ...options, suites })
  const detections: Detection[] = []
  const controls = new Map<string, Promise<boolean>>()
  try {
    await inSlots(ground.slots, variants, async (slot, variant) => {
      const detection = await tryVariant({ ground, controls, slot }, variant, options)
      options.say(
        `${detection.detected ? 'caught' : 'MISSED'} ${variant.name} ${detection.by}: ${detection.finding.slice(0, 200)}`,
      )
      detections.push(detection)
    })
  } finally {
    await ground.close()
  }
  return print(detections)
}

/** An operator whose patch does not fit ends at once, which would look like a defect that was caught. */
function assertApplies({ name, patches }: Variant): void {
  for (const { file, from } of patches) {
    const times = readFileSync(resolve(import.meta.dirname, '../..', file), 'utf8').split(from).length - 1
    if (times === 1) continue
    throw new Error(`run variant ${name}: ${file} has ${times} times the text ${JSON.stringify(from)}; mend its patch`)
  }
}

interface Place {
  readonly ground: Ground
  /** By plan: whether it does not diverge without a defect. */
  readonly controls: Map<string, Promise<boolean>>
  readonly slot: Slot
}

async function remembered<T>(known: Map<string, Promise<T>>, name: string, learn: () => Promise<T>): Promise<T> {
  const result = known.get(name) ?? learn()
  known.set(name, result)
  return await result
}

/** Caught means: the plan diverges with the defect, and the same plan does not diverge without it. */
async function tryVariant(
  { ground, controls, slot }: Place,
  variant: Variant,
  options: CampaignOptions,
): Promise<Detection> {
  const run = (plans: readonly Plan[], patches: readonly Patch[]): Promise<readonly PlanResult[]> =>
    runPlans({ ...ground, slots: [slot] }, plans, {
      ...{ out: options.out, patches, stopAtFirst: true, patienceMs: PATIENCE_MS },
      say: (line) => options.say(`  ${variant.name}: ${line}`),
    })
  const results = await run(plansFor(ground, variant, options.seed), variant.patches)
  const caught = results.find(({ verdict }) => verdict === 'diverged')
  const control = async ({ plan }: PlanResult): Promise<boolean> => {
    const [result] = await run([plan], [])
    return result?.verdict !== 'diverged'
  }
  const isSound =
    caught && (await remembered(controls, `${caught.plan.suite} ${titleOf(caught.plan)}`, () => control(caught)))
  return {
    variant: variant.name,
    detected: isSound === true,
    plans: results.length,
    by: caught ? titleOf(caught.plan) : '',
    finding: findingOf(caught),
  }
}

function plansFor({ references }: Ground, { suite, faults }: Variant, seed: number): readonly Plan[] {
  if (!faults) return [{ suite, seed }]
  const points = references.get(suite)?.points ?? []
  const fitting = points.filter(({ target, key }) => faults.at.test(`${target} ${key}`))
  const plans = allPlans(fitting, seed).filter(({ fault }) => fault.kind === faults.kind)
  return samplePlans(plans, TRIES, seed)
}

function findingOf(result: PlanResult | undefined): string {
  return (result?.findings[0] ?? '').replaceAll(/\s+/g, ' ')
}

function print(detections: readonly Detection[]): boolean {
  const width = Math.max(...detections.map(({ variant }) => variant.length))
  for (const { variant, detected, plans, by, finding } of detections.toSorted((a, b) =>
    a.variant < b.variant ? -1 : 1,
  )) {
    const how = detected
      ? `caught after ${plans} by ${by.slice(0, 80)}: ${finding.slice(0, 160)}`
      : `MISSED in ${plans} plans ${by && `(without the defect, this diverged too: ${by.slice(0, 80)})`}`
    process.stdout.write(`${variant.padEnd(width)}  ${how}\n`)
  }
  const missed = detections.filter(({ detected }) => !detected).map(({ variant }) => variant)
  process.stdout.write(
    `${JSON.stringify({ variants: detections.length, caught: detections.length - missed.length, missed })}\n`,
  )
  return missed.length === 0
}
