import { escapeIdentifier, escapeLiteral } from 'pg'

/** Who may call a function: a tenant's logins, trusted producers, workers, and those who run the queue. */
export type Access = 'tenant' | 'producer' | 'worker' | 'operator'

/** A function of the queue, before it has a schema. `args` is the text between the parentheses. */
export interface SqlFunction {
  readonly name: string
  readonly args?: string
  readonly returns: string
  /** Who may call it beside the owner; nobody where it is left out. */
  readonly access?: readonly Access[]
  readonly language?: 'sql' | 'plpgsql'
  readonly declare?: string
  readonly body: string
  /** Planner settings that hold while it runs. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Everybody who puts jobs in or looks at them. */
export const CALLERS: readonly Access[] = ['tenant', 'producer', 'worker', 'operator']
export const TRUSTED: readonly Access[] = ['producer', 'worker', 'operator']
export const WORKERS: readonly Access[] = ['worker', 'operator']
export const OPERATORS: readonly Access[] = ['operator']

/** A plan for each call would look cheaper to the server than one for all, and cost more than the call of a few jobs. */
export const PLAN_ONCE: Readonly<Record<string, string>> = { plan_cache_mode: 'force_generic_plan' }

/**
 * Rows are found by primary key whatever the statistics of a young table say: a plan over the whole table that is made in an
 * empty queue would be kept by long-lived connections and run in a full one.
 */
export const BY_KEY: Readonly<Record<string, string>> = {
  ...PLAN_ONCE,
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  jit: 'off',
}

/** In bodies the schema is written `$s.`, and a relation in it as a value `$oid(job)`. In one pass: a schema's name may hold either. */
export function inSchema(text: string, schema: string): string {
  const name = escapeIdentifier(schema)
  return text.replaceAll(/\$oid\((\w+)\)|\$s\./g, (_, relation: string | undefined) =>
    relation === undefined ? `${name}.` : `${escapeLiteral(`${name}.${relation}`)}::regclass`,
  )
}

/** The statements that make a function or bring it up to date. It runs with the owner's rights and sees only its own schema. */
export function defineFunction(schema: string, fn: SqlFunction): readonly string[] {
  const { name, args = '', returns, language = 'plpgsql', declare, body, settings = {} } = fn
  const inner = language === 'sql' ? body : `${declare ? `DECLARE ${declare}\n` : ''}BEGIN\n${body}\nEND`
  const set = Object.entries(settings).map(([key, value]) => ` SET ${key} TO ${value}`)
  const text = inSchema(inner, schema)
  return [
    `CREATE OR REPLACE FUNCTION ${escapeIdentifier(schema)}.${name}(${args}) RETURNS ${inSchema(returns, schema)}
LANGUAGE ${language} SECURITY DEFINER SET search_path TO 'pg_catalog'${set.join('')}
AS ${escapeLiteral(`\n${text}\n`)}`,
    `REVOKE ALL ON FUNCTION ${signature(schema, fn)} FROM PUBLIC`,
  ]
}

/** A function's name with the types of its arguments, as GRANT wants it. */
export function signature(schema: string, { name, args = '' }: SqlFunction): string {
  const types =
    args === '' ? [] : args.split(', ').map((arg) => arg.trim().split(/\s+/).slice(1).join(' ').split(' DEFAULT')[0])
  return `${escapeIdentifier(schema)}.${name}(${types.join(', ')})`
}
