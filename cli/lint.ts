import { parseArgs } from 'node:util'
import { type Findings, hasErrors } from '@tenantry/engines/postgres/lint/findings.ts'
import { shown } from '@tenantry/engines/postgres/lint/shown.ts'
import { isLintEngine, judgeBy } from './judge.ts'
import { asJson, asText } from './render.ts'
import { CommandError, type Io, UsageError } from './run.ts'

/** How `tenantry lint` is called. */
export const LINT_USAGE = `Usage: tenantry lint FILES… [--engine postgresql|clickhouse] [--format text|json]
                     [--severity RULE=error|warning|off]…

Says what SQL files would do to tenants that are at work; - reads the standard input. Nothing is run.
Exit code 0: no errors; 1: errors; 2: used wrongly, or a file cannot be read.
Without --engine, files that end with .ch.sql are for ClickHouse, and all others for PostgreSQL.
Rules, ignores and file headers: docs/reference/lint.md and lint-clickhouse.md`

const FORMATS: Readonly<Record<string, (all: readonly Findings<string, string>[]) => string>> = {
  text: asText,
  json: asJson,
}

/** Lints the files and prints what was found; resolves to the exit code. */
export async function lintCommand(args: readonly string[], io: Io): Promise<number> {
  const { files, help, engine, severities, render } = parse(args)
  if (help) {
    io.out(`${LINT_USAGE}\n`)
    return 0
  }
  if (files.length === 0) throw new UsageError('name the files to lint')
  const judge = judgeBy(severities)
  const all: Findings<string, string>[] = []
  for (const file of files) {
    const name = file === '-' ? '<stdin>' : file
    all.push(await judge({ name, body: await read(file, name, io) }, engine))
  }
  io.out(render(all))
  return all.some(hasErrors) ? 1 : 0
}

function parse(args: readonly string[]) {
  const { values, positionals } = options(args)
  const { engine, format = 'text', severity = [], help = false } = values
  if (engine !== undefined && !isLintEngine(engine))
    throw new UsageError(`--engine is postgresql or clickhouse, not "${shown(engine)}"`)
  const render = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined
  if (render === undefined) throw new UsageError(`--format is text or json, not "${shown(format)}"`)
  return { files: positionals, help, engine, severities: Object.fromEntries(severity.map(severityOf)), render }
}

function options(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        engine: { type: 'string' },
        format: { type: 'string' },
        severity: { type: 'string', multiple: true },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? shown(error.message) : String(error))
  }
}

function severityOf(text: string): readonly [string, string] {
  const { rule, severity } = /^(?<rule>[^=]+)=(?<severity>error|warning|off)$/.exec(text)?.groups ?? {}
  if (rule === undefined || severity === undefined) {
    throw new UsageError(`--severity is RULE=error, RULE=warning or RULE=off, not "${shown(text)}"`)
  }
  return [rule, severity]
}

async function read(file: string, name: string, io: Io): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await io.read(file))
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
    throw new CommandError(`read ${shown(name)}: ${REASONS[String(code)] ?? String(error)}`)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder; name its files, such as folder/*.sql',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8',
}
