import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import { type Finding, type Findings, needsApproval } from '@tenantry/engines/postgres/lint/findings.ts'
import { parseHeader } from '@tenantry/engines/postgres/lint/header.ts'
import { checkPolicy, isLocked, type Policy } from '@tenantry/engines/postgres/lint/rules.ts'
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
  const policy: Policy = spec.schema?.lint?.rules ?? {}
  checkPolicy(policy)
  const rules = { policy, inUse }
  const look = spec.engine === 'PostgreSQL' ? (file: SchemaFile) => lint(analyst, file, rules) : header
  return new Map(await Promise.all(files.map(async (file) => [file.version, await look(file)] as const)))
}

/** By what files are judged. */
export interface Rules {
  readonly policy: Policy
  /** Somebody uses the tables. */
  readonly inUse: boolean
}

async function lint(analyst: Analyst, file: SchemaFile, rules: Rules): Promise<Judgement> {
  try {
    return judgementOf(await analyst.ask('lint', { name: file.name, body: file.body }, rules.policy), rules)
  } catch (error) {
    // What nobody could read must not run; it is read again at the next look.
    if (error instanceof AppError) return { refusal: error.message, approvals: [] }
    throw error
  }
}

/** What loses data or breaks running programs is somebody's to approve, unless the policy says that it is an error. Pure. */
export function judgementOf(found: Findings, rules: Rules): Judgement {
  const errors = found.findings.filter((finding) => finding.severity === 'error' && refuses(finding, rules))
  const approvals = needsApproval(found).map((finding) => `${placeOf(found, finding)} ${finding.rule}`)
  const [first] = errors
  if (!first) return { approvals }
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  return { approvals, refusal: `${placeOf(found, first)} ${first.rule}: ${first.message}; ${first.instead}${more}` }
}

function refuses({ rule, category }: Finding, { policy, inUse }: Rules): boolean {
  if (!inUse) return isLocked(rule)
  return policy[rule] === 'error' || (category !== 'destructive' && category !== 'incompatible')
}

function placeOf({ file }: Findings, { line, column }: Finding): string {
  return `${file}:${line}:${column}`
}

/** Files of other engines have the header in common. */
async function header({ name, body }: SchemaFile): Promise<Judgement> {
  const [first] = parseHeader(body).problems
  return { approvals: [], ...(first && { refusal: `${name}:${first.line}:1 invalid-header: ${first.message}` }) }
}
