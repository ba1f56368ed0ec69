/** A tenth of the plans of `npm run chaos`, of every class of faults, on a stack of its own whose programs can be restarted. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runCampaign } from './campaign.ts'
import { openLab } from './lab.ts'
import { SUITES } from './lifecycles/suites.ts'
import { startOwnStack } from './own-stack.ts'
import { CLASSES, type FaultClass } from './plan.ts'

const PLANS = 41
const SLOTS = 4

test('whatever fails at one write, the operator ends where it ends without', { timeout: 1_200_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tenantry-chaos-sample-'))
  chmodSync(dir, 0o755)
  const out = join(tmpdir(), 'tenantry-chaos')
  mkdirSync(out, { recursive: true })
  const lines: string[] = []
  const say = (line: string): void => void lines.push(line)
  const stack = await startOwnStack(dir, say)
  const lab = await openLab(stack.servers, stack.restart)
  onTestFinished(async () => {
    await lab.close()
    await stack.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  const { results } = await runCampaign({
    ...{ lab, dir, say, out },
    ...{ suites: Object.keys(SUITES), classes: Object.keys(CLASSES) as FaultClass[] },
    ...{ plans: PLANS, seed: 1, slots: SLOTS, learnTimes: 2 },
  })
  const diverged = results.filter(({ verdict }) => verdict === 'diverged')
  expect(diverged.length, lines.join('\n')).toBe(0)
  expect(results.filter(({ verdict }) => verdict === 'converged').length).toBeGreaterThan(PLANS - 4)
  expect(new Set(results.map(({ plan }) => plan.fault?.kind)).size).toBe(Object.keys(CLASSES).length)
})
