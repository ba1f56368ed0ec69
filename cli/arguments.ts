import { parseArgs } from 'node:util'
import { shown } from '@tenantry/engines/postgres/lint/shown.ts'
import type { Name } from './fleet.ts'
import { UsageError } from './run.ts'

/** What commands on a Database are asked. `flags` are those of the command's own that were given. */
export interface FleetArguments {
  readonly database: Name
  readonly tenant: Name | undefined
  readonly json: boolean
  readonly flags: ReadonlySet<string>
}

/** Throws UsageError for anything else than what the command knows. */
export function fleetArguments(args: readonly string[], flags: readonly string[]): FleetArguments {
  const { values } = read(args, flags)
  const { database, tenant, output = 'text', ...given } = values
  if (typeof database !== 'string') throw new UsageError('name the Database: --database NAMESPACE/NAME')
  if (output !== 'text' && output !== 'json') throw new UsageError(`-o is text or json, not "${shown(String(output))}"`)
  return {
    database: nameOf('--database', database),
    tenant: typeof tenant === 'string' ? nameOf('--tenant', tenant) : undefined,
    json: output === 'json',
    flags: new Set(Object.keys(given)),
  }
}

function read(args: readonly string[], flags: readonly string[]) {
  const own = Object.fromEntries(flags.map((flag) => [flag, { type: 'boolean' as const }]))
  const named = { database: { type: 'string' }, tenant: { type: 'string' } } as const
  try {
    return parseArgs({ args: [...args], options: { ...own, ...named, output: { type: 'string', short: 'o' } } })
  } catch (error) {
    throw new UsageError(error instanceof Error ? shown(error.message) : String(error))
  }
}

const NAME = /^(?<namespace>[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)\/(?<name>[a-z0-9][-a-z0-9.]{0,252})$/

function nameOf(option: string, text: string): Name {
  const { namespace, name } = NAME.exec(text)?.groups ?? {}
  if (namespace !== undefined && name !== undefined) return { namespace, name }
  throw new UsageError(`${option} is NAMESPACE/NAME, not "${shown(text)}"`)
}
