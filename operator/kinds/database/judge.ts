import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import * as clickhouse from '@tenantry/engines/clickhouse/lint/rules.ts'
import { type Finding, type Findings, needsApproval } from '@tenantry/engines/postgres/lint/findings.ts'
import type { PolicyOf, RuleBook } from '@tenantry/engines/postgres/lint/rule.ts'
import * as postgres from '@tenantry/engines/postgres/lint/rules.ts'
import type { Analyst } from '../../analysis/analyst.ts'
import type { Judgement, SchemaFile } from './rollout/plan.ts'

/**
 * What the rules say of new files, by version. Where no tenant uses the tables yet, nobody can be blocked or lose anything: then
 * only what always holds keeps a file back. Throws AppError `InvalidSpec` for a policy that cannot be used.
 */
export async function judge(
  analyst: Analyst,
  { spec }: Database,
  files: readonly SchemaFile[],
  inUse: boolean,
): Promise<ReadonlyMap<string, Judgement>> {
  const policy = spec.schema?.lint?.rules ?? {}
  const rulebook = RULEBOOKS[spec.engine === 'ClickHouse' ? 'ClickHouse' : 'PostgreSQL']
  rulebook.checkPolicy(policy)
  const rules = { policy, inUse, rulebook }
  return new Map(
    await Promise.all(files.map(async (file) => [file.version, await lint(analyst, file, rules)] as const)),
  )
}

/** The rules of an engine, and the job that looks for them. */
interface Rulebook {
  readonly job: 'lint' | 'lint-clickhouse'
  readonly book: RuleBook<string>
  readonly checkPolicy: (policy: PolicyOf<string>) => void
}

/** By engine. */
export const RULEBOOKS: Readonly<Record<'PostgreSQL' | 'ClickHouse', Rulebook>> = {
  PostgreSQL: { job: 'lint', book: postgres.BOOK, checkPolicy: postgres.checkPolicy },
  ClickHouse: { job: 'lint-clickhouse', book: clickhouse.BOOK, checkPolicy: clickhouse.checkPolicy },
}

/** By what files are judged. */
export interface Rules {
  readonly policy: PolicyOf<string>
  /** Somebody uses the tables. */
  readonly inUse: boolean
  readonly rulebook: Rulebook
}

async function lint(analyst: Analyst, { name, body }: SchemaFile, rules: Rules): Promise<Judgement> {
  try {
    return judgementOf(await analyst.ask(rules.rulebook.job, { name, body }, rules.policy), rules)
  } catch (error) {
    // What nobody could read must not run; it is read again at the next look.
    if (error instanceof AppError) return { refusal: error.message, approvals: [] }
    throw error
  }
}

/** What loses data or breaks running programs is somebody's to approve, unless the policy says that it is an error. Pure. */
export function judgementOf(found: Findings<string, string>, rules: Rules): Judgement {
  const errors = found.findings.filter((finding) => finding.severity === 'error' && refuses(finding, rules))
  const approvals = needsApproval(found).map((finding) => `${placeOf(found, finding)} ${finding.rule}`)
  const [first] = errors
  if (!first) return { approvals }
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  return { approvals, refusal: `${placeOf(found, first)} ${first.rule}: ${first.message}; ${first.instead}${more}` }
}

function refuses({ rule, category }: Finding<string, string>, { policy, inUse, rulebook: { book } }: Rules): boolean {
  if (!inUse) return book.isLocked(rule)
  return policy[rule] === 'error' || (category !== 'destructive' && category !== 'incompatible')
}

function placeOf({ file }: Findings<string, string>, { line, column }: Finding<string, string>): string {
  return `${file}:${line}:${column}`
}
