import { lint } from '@tenantry/engines/postgres/lint/lint.ts'
import { parseSql } from '@tenantry/engines/postgres/lint/parser.ts'
import type { JobName, Jobs, Request, Runnable, Undoing } from './job.ts'

/** Reads one file. Throws AppError `InvalidSpec` for a policy that cannot be used. */
export async function read(request: Request): Promise<Jobs[JobName]['result']> {
  const { file } = request
  switch (request.job) {
    case 'lint':
      return await lint(file, request.given)
    case 'run':
      return await runnable(file.body, request.given.transaction)
    case 'undo':
      return undoing()
  }
}

async function runnable(body: string, transaction: boolean): Promise<Runnable> {
  return transaction ? {} : { statements: await statementsOf(body) }
}

/** A text that cannot be read is one statement: the server says what is wrong with it. */
async function statementsOf(body: string): Promise<NonNullable<Runnable['statements']>> {
  const { value } = await parseSql(body)
  if (!value) return [{ start: 0, end: body.length }]
  const characterAt = charactersOf(body)
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

function undoing(): Undoing {
  return { reason: 'what its down file would lose is not known' }
}
