/**
 * `npm run chaos -- [--plans N] [--class NAME] [--suite NAME] [--seed N] [--slots N] [--replay FILE] [--variant NAME|all]`:
 * breaks the operator at its writes and compares what becomes of it with a run without faults.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'
import { openLab } from './lab.ts'
import { SUITES } from './lifecycles/suites.ts'
import { startOwnStack } from './own-stack.ts'
import { CLASSES, type FaultClass } from './plan.ts'
import { readReplay } from './replay.ts'
import { printTable } from './table.ts'
import { runVariants } from './variants.ts'

const { values } = parseArgs({
  options: {
    plans: { type: 'string', default: '400' },
    class: { type: 'string', multiple: true },
    suite: { type: 'string', multiple: true },
    seed: { type: 'string', default: '1' },
    slots: { type: 'string', default: '3' },
    learn: { type: 'string', default: '2' },
    out: { type: 'string', default: join(tmpdir(), 'tenantry-chaos') },
    replay: { type: 'string', multiple: true },
    variant: { type: 'string', multiple: true },
  },
})

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const dir = mkdtempSync(join(tmpdir(), 'tenantry-chaos-stack-'))
chmodSync(dir, 0o755)
mkdirSync(values.out, { recursive: true })
const stack = await startOwnStack(dir, say)
const lab = await openLab(stack.servers, stack.restart)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void leave(130))
await leave(await main().then((good) => (good ? 0 : 1), complain))

/** The operators end by themselves when this process does. */
async function leave(code: number): Promise<never> {
  await Promise.allSettled([lab.close(), stack.stop()])
  rmSync(dir, { recursive: true, force: true })
  process.exit(code)
}

function complain(error: unknown): number {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return 1
}

async function main(): Promise<boolean> {
  const options = {
    ...{ lab, dir, say, out: values.out },
    suites: chosen(values.suite, Object.keys(SUITES), 'suite'),
    classes: chosen(values.class, Object.keys(CLASSES), 'class') as readonly FaultClass[],
    plans: Number(values.plans),
    seed: Number(values.seed),
    slots: Number(values.slots),
    learnTimes: Number(values.learn),
    ...(values.replay !== undefined && { replay: values.replay.map(readReplay) }),
  }
  if (values.variant) return await runVariants(values.variant, options)
  const result = await runCampaign(options)
  return printTable(result)
}

function chosen(wanted: readonly string[] | undefined, known: readonly string[], what: string): readonly string[] {
  const wrong = wanted?.find((name) => !known.includes(name))
  if (wrong !== undefined) throw new Error(`there is no ${what} ${wrong}: use one of ${known.join(', ')}`)
  return wanted ?? known
}
