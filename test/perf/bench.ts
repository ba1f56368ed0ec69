/**
 * `npm run bench -- <name>`: measures against a floor or a peer in the same run. Progress goes to stderr, results to stdout:
 * tables, and one line of JSON as the last. Ctrl-C ends everything that was started.
 */
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { create } from './create.ts'
import { failover } from './fleet/failover.ts'
import { fair } from './fleet/fair.ts'
import { fleet } from './fleet/fleet.ts'
import { scale } from './fleet/scale.ts'
import type { FleetOptions } from './fleet/world.ts'
import { migrate } from './migrate/migrate.ts'
import { queue } from './queue/queue.ts'

type Options = FleetOptions & { readonly jobs: number }

interface Bench {
  readonly run: (options: Options) => Promise<string>
  /** How many, where nobody says. */
  readonly tenants: number
}

const BENCHES: Readonly<Record<string, Bench>> = {
  create: { run: create, tenants: 100 },
  fleet: { run: fleet, tenants: 10_000 },
  fair: { run: fair, tenants: 10_000 },
  failover: { run: failover, tenants: 10_000 },
  scale: { run: scale, tenants: 10_000 },
  migrate: { run: migrate, tenants: 1_000 },
  queue: { run: queue, tenants: 1 },
}

class Interrupted extends Error {}

const interrupt = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // The second time somebody is in a hurry: what still runs is ended from outside once this process is gone.
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort(new Interrupted(`ended by ${name}`))
  })
}

try {
  const { run, options } = readArguments(process.argv.slice(2))
  process.stdout.write(`${await run(options)}\n`)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof Interrupted ? 130 : 1
}
// Nothing may keep a process alive whose work is done.
process.exit()

function readArguments(args: readonly string[]): { run: (options: Options) => Promise<string>; options: Options } {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      tenants: { type: 'string' },
      runs: { type: 'string', default: '3' },
      'postgres-servers': { type: 'string', default: '8' },
      interval: { type: 'string', default: '120' },
      newcomers: { type: 'string', default: '150' },
      jobs: { type: 'string', default: '20000' },
      profile: { type: 'string' },
    },
  })
  const [name = ''] = positionals
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
  if (bench === undefined || positionals.length > 1) throw new Error(usage(positionals.join(' ')))
  return {
    run: bench.run,
    options: {
      tenants: positive('tenants', values.tenants ?? String(bench.tenants)),
      runs: positive('runs', values.runs),
      postgresServers: positive('postgres-servers', values['postgres-servers']),
      interval: positive('interval', values.interval),
      newcomers: positive('newcomers', values.newcomers),
      jobs: positive('jobs', values.jobs),
      log: (line) => void process.stderr.write(`${line}\n`),
      signal: interrupt.signal,
      ...(values.profile !== undefined && { profile: folder(values.profile) }),
    },
  }
}

function usage(asked: string): string {
  const complaint = asked === '' ? 'Name a benchmark' : `There is no benchmark ${asked}`
  return [
    `${complaint}: ${Object.keys(BENCHES).join(', ')}`,
    'Usage: npm run bench -- <name> [--tenants <count>] [--runs 3] [--profile <folder for CPU profiles of the operator>]',
    'Of a fleet also: [--interval <seconds between drift checks, 120>] [--postgres-servers <for its 8 shards, 8>] [--newcomers 150]',
    'Of queue: [--jobs <in the backlog, 20000>]',
  ].join('\n')
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a whole number above 0, not ${text}`)
}

function folder(path: string): string {
  const absolute = resolve(process.env.INIT_CWD ?? process.cwd(), path)
  mkdirSync(absolute, { recursive: true })
  return absolute
}
