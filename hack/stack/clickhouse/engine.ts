import { Semaphore } from '@tenantry/engines/semaphore.ts'
import { type ChdbResult, Session } from 'chdb'
import { asFailure, ClickHouseFailure, failure } from './failure.ts'
import { quoteIdentifier, quoteLiteral } from './statement.ts'

/** One query with everything it is run under. Names and values are as they came: they are quoted here. */
export interface Query {
  readonly sql: string
  readonly format: string
  readonly database: string | undefined
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly params: readonly (readonly [name: string, value: string])[]
  readonly session: { readonly id: string; readonly timeoutSeconds: number } | undefined
}

/** `elapsed` in seconds. */
export type Answer = Pick<ChdbResult, 'elapsed' | 'rowsRead' | 'bytesRead'> & { readonly bytes: Uint8Array }

export interface ClickHouseEngine {
  readonly version: string
  readonly timezone: string
  /** Rejects with a ClickHouseFailure. */
  run(query: Query): Promise<Answer>
  close(): Promise<void>
}

interface NamedSession {
  readonly session: Session
  busy: boolean
  timer: NodeJS.Timeout | undefined
}

/** Queries that may run at once; chdb runs each in a thread of Node's pool, which needs some threads for itself. */
const CONCURRENCY = 4
const NAME = /^[A-Za-z_][A-Za-z0-9_.]*$/
/** Makes chdb behave like the server: `clickhouse local` would take `1 + 1` for a query. */
const CONNECTION_ARGS = ['--implicit_select=0', '--allow_introspection_functions=0']

/**
 * Opens the data folder. Every query gets a chdb session of its own (a millisecond), so that settings, parameters and the
 * current database of one can never reach another; only queries of one `session_id` share theirs.
 */
export async function openEngine(data: string): Promise<ClickHouseEngine> {
  const open = (): Session => new Session(data, { connectionArgs: CONNECTION_ARGS })
  const keeper = open()
  const named = new Map<string, NamedSession>()
  const places = new Semaphore(CONCURRENCY)
  const running = new Set<Promise<unknown>>()
  const about = await keeper.queryAsync('SELECT version() AS version, timezone() AS timezone', {
    format: 'JSONEachRow',
  })
  const run = (query: Query): Promise<Answer> =>
    places.run(() => (query.session ? inNamedSession(named, open, query) : inOwnSession(open, query)))
  return {
    ...about.json<{ version: string; timezone: string }>(),
    run: (query) => {
      const answer = run(query)
      running.add(answer)
      return answer.finally(() => running.delete(answer))
    },
    close: async () => {
      await Promise.allSettled(running)
      for (const { session } of named.values()) session.close()
      keeper.close()
    },
  }
}

async function inOwnSession(open: () => Session, query: Query): Promise<Answer> {
  const session = open()
  try {
    return await execute(session, query)
  } finally {
    session.close()
  }
}

async function inNamedSession(named: Map<string, NamedSession>, open: () => Session, query: Query): Promise<Answer> {
  const { id, timeoutSeconds } = query.session ?? { id: '', timeoutSeconds: 60 }
  const entry = named.get(id) ?? { session: open(), busy: false, timer: undefined }
  named.set(id, entry)
  if (entry.busy) throw failure(373, 'SESSION_IS_LOCKED', `Session ${id} is locked by a concurrent client.`)
  entry.busy = true
  clearTimeout(entry.timer)
  try {
    return await execute(entry.session, query)
  } finally {
    entry.busy = false
    await reset(entry.session, query)
    entry.timer = setTimeout(() => {
      named.delete(id)
      entry.session.close()
    }, timeoutSeconds * 1000)
  }
}

/** Settings of a request's address hold for that request alone. */
async function reset(session: Session, { settings }: Query): Promise<void> {
  const names = settings.map(([name]) => name).filter((name) => NAME.test(name))
  if (names.length > 0) await session.queryAsync(`SET ${names.map((name) => `${name} = DEFAULT`).join(', ')}`)
}

async function execute(session: Session, query: Query): Promise<Answer> {
  try {
    const before = preparation(query)
    if (before !== '') await session.queryAsync(before)
    const result = await session.queryAsync(query.sql, { format: query.format })
    const { elapsed, rowsRead, bytesRead } = result
    return { bytes: result.bytes(), elapsed, rowsRead, bytesRead }
  } catch (error) {
    throw error instanceof ClickHouseFailure ? error : asFailure(error)
  }
}

/**
 * Parameters are bound by the engine itself: `SET param_x` takes the same escaped text as the HTTP interface. All in one
 * text, because each call of the engine costs as much as a small query.
 */
function preparation({ database, settings, params }: Query): string {
  const parts = [
    ...params.map(([name, value]) => `${checked(`param_${name}`)} = ${quoteLiteral(value)}`),
    ...settings.map(([name, value]) => `${checked(name)} = ${quoteLiteral(value)}`),
  ]
  const use = database === undefined ? [] : [`USE ${quoteIdentifier(database)}`]
  return [...use, ...(parts.length > 0 ? [`SET ${parts.join(', ')}`] : [])].join('; ')
}

function checked(name: string): string {
  if (!NAME.test(name))
    throw failure(
      115,
      'UNKNOWN_SETTING',
      `Setting ${name} is neither a builtin setting nor started with the prefix 'SQL_'.`,
    )
  return name
}
