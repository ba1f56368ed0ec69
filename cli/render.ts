import { type Finding, type Findings, needsApproval } from '@tenantry/engines/postgres/lint/findings.ts'
import { shown } from '@tenantry/engines/postgres/lint/shown.ts'

/** One line for each finding with what to write instead, and a summary. */
export function asText(all: readonly Findings<string, string>[]): string {
  const lines = all.flatMap((each) => [...told(each), ...ignored(each), ...omitted(each)])
  return `${[...lines, summaryLine(all)].join('\n')}\n`
}

/** All that was found, for programs. */
export function asJson(all: readonly Findings<string, string>[]): string {
  const files = all.map((each) => ({ ...each, needsApproval: needsApproval(each).length > 0 }))
  return `${JSON.stringify({ files, summary: summary(all) }, undefined, 2)}\n`
}

function told({ file, findings }: Findings<string, string>): readonly string[] {
  return findings.flatMap((finding) => [
    `${place(file, finding)} ${finding.severity} ${finding.rule} ${finding.message}`,
    `  instead: ${finding.instead}`,
  ])
}

function ignored(findings: Findings<string, string>): readonly string[] {
  return findings.ignored.map(
    (each) => `${place(findings.file, each)} ignored ${each.rule} ${each.message} (${each.reason})`,
  )
}

function omitted({ file, omitted: count }: Findings<string, string>): readonly string[] {
  return count === 0 ? [] : [`${shown(file)}: ${count} more of the same rules`]
}

function place(file: string, { line, column }: Pick<Finding, 'line' | 'column'>): string {
  return `${shown(file)}:${line}:${column}`
}

function summary(all: readonly Findings<string, string>[]) {
  const findings = all.flatMap((each) => each.findings)
  return {
    files: all.length,
    errors: findings.filter(({ severity }) => severity === 'error').length,
    warnings: findings.filter(({ severity }) => severity === 'warning').length,
    ignored: all.reduce((sum, each) => sum + each.ignored.length, 0),
    omitted: all.reduce((sum, each) => sum + each.omitted, 0),
    needApproval: all.filter((each) => needsApproval(each).length > 0).length,
  }
}

function summaryLine(all: readonly Findings<string, string>[]): string {
  const { files, errors, warnings, ignored: meant, needApproval } = summary(all)
  const held = needApproval === 0 ? '' : `; ${counted(needApproval, 'file')} to be approved`
  return `${counted(files, 'file')}: ${counted(errors, 'error')}, ${counted(warnings, 'warning')}, ${meant} ignored${held}`
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
