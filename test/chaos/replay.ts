import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Plan, titleOf } from './plan.ts'
import type { Evidence } from './run.ts'

/** A plan that diverged, with what was found: enough to run it again. */
export interface Replay {
  readonly plan: Plan
  readonly findings: readonly string[]
}

/** Writes the plan and, beside it, what the operator said. Returns the path to give to --replay. */
export function writeReplay(out: string, plan: Plan, evidence: Pick<Evidence, 'findings' | 'said'>): string {
  const name = `${plan.suite} ${titleOf(plan)}`.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 120)
  const path = join(out, `${name}.json`)
  writeFileSync(path, JSON.stringify({ plan, findings: evidence.findings } satisfies Replay, null, 2))
  writeFileSync(join(out, `${name}.log`), evidence.said)
  return path
}

export function readReplay(path: string): Plan {
  return (JSON.parse(readFileSync(path, 'utf8')) as Replay).plan
}
