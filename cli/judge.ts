import { type ChFindings, lintClickHouse } from '@tenantry/engines/clickhouse/lint/lint.ts'
import * as clickhouse from '@tenantry/engines/clickhouse/lint/rules.ts'
import type { Findings } from '@tenantry/engines/postgres/lint/findings.ts'
import { lint, type SqlFile } from '@tenantry/engines/postgres/lint/lint.ts'
import * as postgres from '@tenantry/engines/postgres/lint/rules.ts'

/** The engines whose files can be judged, as `--engine` names them. */
export type LintEngine = 'postgresql' | 'clickhouse'

/** Whether it names an engine. */
export function isLintEngine(name: string): name is LintEngine {
  return name === 'postgresql' || name === 'clickhouse'
}

/** Judges files of every engine; `engine` is for those whose names do not tell. */
export type Judge = (file: SqlFile, engine?: LintEngine) => Promise<Findings | ChFindings>

/**
 * Files by the rules of their engine, with the severities given; a rule may be one of either engine, or of both. Throws AppError
 * `InvalidSpec` for a severity that cannot be used.
 */
export function judgeBy(severities: Readonly<Record<string, string>>): Judge {
  const entries = Object.entries(severities)
  const ofClickHouse = entries.filter(([id]) => clickhouse.isRuleId(id))
  const ofPostgres = entries.filter(([id]) => postgres.isRuleId(id) || !clickhouse.isRuleId(id))
  const policies = {
    clickhouse: Object.fromEntries(ofClickHouse) as clickhouse.Policy,
    postgresql: Object.fromEntries(ofPostgres) as postgres.Policy,
  }
  clickhouse.checkPolicy(policies.clickhouse)
  postgres.checkPolicy(policies.postgresql)
  return async (file, engine = file.name.endsWith('.ch.sql') ? 'clickhouse' : 'postgresql') =>
    engine === 'clickhouse' ? lintClickHouse(file, policies.clickhouse) : await lint(file, policies.postgresql)
}
