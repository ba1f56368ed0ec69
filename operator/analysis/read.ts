import { lintClickHouse } from '@tenantry/engines/clickhouse/lint/lint.ts'
import { lint } from '@tenantry/engines/postgres/lint/lint.ts'
import { guardsOf } from '@tenantry/engines/postgres/migrate/guards.ts'
import { placeholdersOf } from '@tenantry/engines/postgres/migrate/placeholders.ts'
import { statementSpans } from '@tenantry/engines/postgres/migrate/utility.ts'
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
    ...(!transaction && { statements: await statementsOf(body) }),
  }
}

/** A text that cannot be read is one statement: the server says what is wrong with it. */
async function statementsOf(body: string): Promise<NonNullable<Runnable['statements']>> {
  const spans = await statementSpans(body)
  return spans.length > 0 ? spans : [{ start: 0, end: body.length }]
}

async function undoing(body: string): Promise<Undoing> {
  const { guards, reason } = await guardsOf(body)
  if (reason !== undefined) return { reason }
  const placeholders = await placeholdersOf(body)
  return { guards, ...(placeholders.length > 0 && { placeholders }) }
}
