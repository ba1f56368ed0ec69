import { AppError } from '@tenantry/crds/errors.ts'
import type { SqlText } from '../model.ts'
import type { Finding } from '../postgres/lint/findings.ts'
import { commandsOf } from './lint/alter.ts'
import { lintClickHouse } from './lint/lint.ts'
import { type Part, readStatement, type Statement } from './lint/reading.ts'
import type { Category } from './lint/rule.ts'
import type { RuleId } from './lint/rules.ts'
import { cutFile } from './split.ts'

/** One statement of a file, ready to be sent. */
export interface PreparedStatement {
  readonly text: string
  /** The parameters that it takes: `schema`, `tenant`. */
  readonly parameters: readonly string[]
  /** Whether the server goes on working on it after it has taken it. */
  readonly mutates: boolean
}

interface Prepared {
  readonly body: string
  readonly statements: readonly PreparedStatement[]
  readonly refusal?: Finding<RuleId, Category> | undefined
  readonly losesData: boolean
}

/** A file is prepared once for all tenants that it is applied to. */
const KEPT_FILES = 256
const kept = new Map<string, Prepared>()

/**
 * The statements of a file. Throws AppError `SourceInvalid` for one that cannot be cut, and `MigrationFailed` for one that breaks a
 * rule that always holds: nothing of it may run.
 */
export function prepare(file: SqlText, doing: string): readonly PreparedStatement[] {
  const { statements, refusal } = prepared(file)
  if (!refusal) return statements
  const { line, column, rule, message, instead } = refusal
  throw new AppError('MigrationFailed', `${doing}: ${file.name}:${line}:${column} ${rule}: ${message}; ${instead}`)
}

/** Whether a file loses data when it runs; false for one that cannot be read. */
export function losesData(file: SqlText): boolean {
  try {
    return prepared(file).losesData
  } catch {
    return false
  }
}

function prepared(file: SqlText): Prepared {
  const known = kept.get(file.checksum)
  if (known?.body === file.body) return known
  const made = prepareAnew(file)
  const [oldest] = kept.keys()
  if (kept.size >= KEPT_FILES && oldest !== undefined) kept.delete(oldest)
  kept.set(file.checksum, made)
  return made
}

function prepareAnew({ name, body }: SqlText): Prepared {
  const statements = cutFile(body).pieces.map((piece) => {
    const statement = readStatement(body, piece)
    return { text: piece.text, parameters: parametersOf(statement.parts), mutates: mutates(statement) }
  })
  const { findings, ignored } = lintClickHouse({ name, body })
  const losing = [...findings, ...ignored].some(({ category }) => category === 'destructive')
  return { body, statements, refusal: findings.find(isRefusal), losesData: losing }
}

const REFUSED: readonly Category[] = ['file', 'escape', 'repeat']

/** The rest is for whoever releases a file to judge. */
function isRefusal({ rule, category, severity }: Finding<RuleId, Category>): boolean {
  return severity === 'error' && REFUSED.includes(category) && rule !== 'invalid-header'
}

function parametersOf(parts: readonly Part[]): readonly string[] {
  const names = parts.filter(({ kind }) => kind === 'parameter').map(({ text }) => text.split(':')[0] ?? '')
  return [...new Set(names)]
}

const MUTATING =
  /^(?:UPDATE|DELETE|MATERIALIZE|CLEAR|(?:MODIFY|ALTER|RENAME) COLUMN|DROP (?:COLUMN|INDEX|PROJECTION|STATISTICS)) /

function mutates(statement: Statement): boolean {
  if (/^(?:DELETE FROM|UPDATE) /.test(statement.shape)) return true
  return commandsOf(statement).some(({ shape }) => MUTATING.test(shape))
}
