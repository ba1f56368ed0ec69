import { lintClickHouse } from '@tenantry/engines/clickhouse/lint/lint.ts'
import { lint } from '@tenantry/engines/postgres/lint/lint.ts'
import { parseSql } from '@tenantry/engines/postgres/lint/parser.ts'
import { guardsOf } from '@tenantry/engines/postgres/migrate/guards.ts'
import { placeholdersOf, readable } from '@tenantry/engines/postgres/migrate/placeholders.ts'
import type { JobName, Jobs, Request, Runnable, Undoing } from './job.ts'

/** Reads one file. Throws AppError `InvalidSpec` for a policy that cannot be used. */
export async function read(request: Request): Promise<Jobs[JobName]['result']> {
  const { file } = request
  switch (request.job) {
    case 'lint':
      return await lint(file, request.given)
    case 'lint-clickhouse':
      return lintClickHouse(file, request.given)
    case 'run':
      return await runnable(file.body, request.given.transaction)
    case 'undo':
      return await undoing(file.body)
  }
}

async function runnable(body: string, transaction: boolean): Promise<Runnable> {
  const placeholders = await placeholdersOf(body)
  return {
    ...(placeholders.length > 0 && { placeholders }),
    ...(!transaction && { statements: await statementsOf(body, readable(body, placeholders)) }),
  }
}

/** A text that cannot be read is one statement: the server says what is wrong with it. */
async function statementsOf(body: string, text: string): Promise<NonNullable<Runnable['statements']>> {
  const { value } = await parseSql(text)
  if (!value) return [{ start: 0, end: body.length }]
  const characterAt = charactersOf(text)
  return value.map(({ start, end }) => ({ start: characterAt(start), end: characterAt(end) }))
}

/** The parser counts bytes; asked for in rising order. */
function charactersOf(body: string): (byte: number) => number {
  const bytes = Buffer.from(body)
  if (bytes.length === body.length) return (byte) => byte
  let [at, character] = [0, 0]
  return (byte) => {
    character += bytes.toString('utf8', at, byte).length
    at = byte
    return character
  }
}

async function undoing(body: string): Promise<Undoing> {
  const { guards, reason } = await guardsOf(body)
  if (reason !== undefined) return { reason }
  const placeholders = await placeholdersOf(body)
  return { guards, ...(placeholders.length > 0 && { placeholders }) }
}
