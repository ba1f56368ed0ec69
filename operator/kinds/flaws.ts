/** What the schemas find in a spec, in words; and of the CRDs' cross-field rules those that something would rest on. */
import type { DatabaseSpec } from '@tenantry/crds/database.ts'
import type { TenantSpec } from '@tenantry/crds/tenant.ts'
import type { z } from 'zod'

/** One thing that is wrong. `path` and `what` are a sentence together; `field` is the field of the spec that it lies in. */
export interface Flaw {
  readonly path: string
  readonly what: string
  readonly field: string
}

type Issue = z.core.$ZodIssue

/** The issues of a schema in words. The API server counts characters where zod counts UTF-16 units: it is right. */
export function flawsIn(root: string, value: unknown, issues: readonly Issue[]): readonly Flaw[] {
  return issues
    .map((issue) => ({ issue, found: valueAt(value, issue.path) }))
    .filter(({ issue, found }) => !fitsInCharacters(issue, found))
    .map(({ issue, found }) => flaw(root, issue.path, describe(issue, found)))
}

export function tenantRules({ databases }: TenantSpec): readonly Flaw[] {
  const names = databases.map(({ name }) => name)
  const secrets = databases.map(({ secretName }) => secretName)
  return [
    ...repeated(names).map((i) => flaw('spec', ['databases', i, 'name'], `repeats ${names[i]}: give each its own`)),
    ...repeated(secrets).map((i) =>
      flaw('spec', ['databases', i, 'secretName'], `repeats ${secrets[i]}: give each its own`),
    ),
  ]
}

const ISOLATIONS_OF: Readonly<Record<DatabaseSpec['engine'], readonly DatabaseSpec['isolation'][]>> = {
  PostgreSQL: ['Schema', 'Row', 'Database'],
  ClickHouse: ['Row', 'Database'],
  Redis: ['Prefix'],
}

export function databaseRules(spec: DatabaseSpec): readonly Flaw[] {
  const { engine, isolation, shards, allowedTenants, extensions = [], schema } = spec
  const names = shards.map(({ name }) => name)
  const { from, selector } = allowedTenants.namespaces
  const fitting = ISOLATIONS_OF[engine]
  return [
    ...repeated(names).map((i) => flaw('spec', ['shards', i, 'name'], `repeats ${names[i]}: give each its own`)),
    ...when(!fitting.includes(isolation), ['isolation'], `is ${isolation}: ${engine} has ${fitting.join(', ')}`),
    ...when(engine !== 'PostgreSQL' && extensions.length > 0, ['extensions'], 'is set: only PostgreSQL has them'),
    ...when(engine === 'Redis' && schema !== undefined, ['schema'], 'is set: Redis has no tables'),
    ...when(
      (from === 'Selector') !== (selector !== undefined),
      ['allowedTenants', 'namespaces'],
      'needs a selector with from: Selector, and only then',
    ),
  ]
}

function when(wrong: boolean, path: readonly string[], what: string): readonly Flaw[] {
  return wrong ? [flaw('spec', path, what)] : []
}

/** The positions of values that were there before; what is not set repeats nothing. */
function repeated(values: readonly (string | undefined)[]): readonly number[] {
  return values.flatMap((value, i) => (value !== undefined && values.indexOf(value) < i ? [i] : []))
}

function flaw(root: string, path: readonly PropertyKey[], what: string): Flaw {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${shorten(String(step))}`))
  return { path: root + steps.join(''), what, field: String(path[0] ?? '') }
}

const WORDS: Readonly<Record<string, string>> = { array: 'a list', object: 'a map', record: 'a map', int: 'an integer' }

function describe(issue: Issue, found: unknown): string {
  if (found === undefined && (issue.code === 'invalid_type' || issue.code === 'invalid_value')) return 'is missing'
  if (issue.code === 'invalid_type') return `is ${kindOf(found)} and must be ${WORDS[issue.expected] ?? issue.expected}`
  if (issue.code === 'invalid_value') {
    const given = typeof found === 'string' ? JSON.stringify(shorten(found)) : kindOf(found)
    return `is ${given}, which this version does not know: use ${issue.values.map(String).join(', ')}`
  }
  return `is not right (${shorten(issue.message, 160)})`
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a map' : `a ${typeof value}`
}

function fitsInCharacters(issue: Issue, found: unknown): boolean {
  return issue.code === 'too_big' && typeof found === 'string' && Array.from(found).length <= Number(issue.maximum)
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((at, step) => (typeof at === 'object' && at !== null ? Reflect.get(at, step) : undefined), value)
}

function shorten(text: string, most = 60): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`
}
