import { AppError } from '@tenantry/crds/errors.ts'
import { stampOf } from '../fence.ts'
import type { Applied, Batch, Connection, Health, ProbeLogin, Proof, Scope, Session, SessionOptions } from '../model.ts'
import { applyAll } from './apply.ts'
import { type Call, type Link, openLink } from './client.ts'
import { ensureControl } from './control.ts'
import { isMissing, isUnknownColumn } from './errors.ts'
import { type FencedLink, fencedLink, openEpochs, openFence } from './fence.ts'
import { makeAcquaintance } from './greeting.ts'
import { identify } from './identify.ts'
import { join } from './join.ts'
import { type HistoryRow, readHistory } from './ledger.ts'
import { type Greeting, greet, observe } from './observe.ts'
import { probe } from './probe.ts'
import { openRecorder } from './record.ts'
import type { ChResource } from './resources.ts'
import { inTurn, openSlots } from './slots.ts'
import type { ChSnapshot } from './snapshot.ts'

/** A session that also tells what became of SQL files. */
export interface ChSession extends Session<ChResource, ChSnapshot> {
  /** See `readHistory` of ledger.ts. */
  ledgerSince(since: string, signal: AbortSignal): Promise<readonly HistoryRow[]>
}

/** Opens no connection yet: the first call does, within the connect timeout. */
export function openSession(connection: Connection, options: SessionOptions): ChSession {
  const link = openLink(connection, options)
  const { installation, connectTimeoutMs: timeoutMs } = options
  const server = makeAcquaintance((doing, signal) =>
    greet(link, { doing, signal, timeoutMs }).catch(async (error: unknown) => {
      throw await namedServer(error, connection, timeoutMs)
    }),
  )
  const prepare = onceUntil(isMissing, () => ensureControl(link, { signal: new AbortController().signal }))
  // One connection is left for the fence, whose answers must be young.
  const slots = openSlots(Math.max(1, options.maxConnections - 1))
  const ordinary = inTurn(link, slots)
  const record = openRecorder(ordinary)
  const epochs = openEpochs(link)
  const fenced = (): FencedLink => {
    const stamp = stampOf(options)
    return fencedLink(link, stamp && openFence(link, stamp, epochs), slots)
  }
  const apply = async (batch: Batch<ChResource>, signal: AbortSignal): Promise<Applied<ChResource>> => {
    if (batch.changes.length === 0) return { done: [] }
    const { user: admin, noAccessControl, replicaSets } = await server.greeting('connect', signal)
    await prepare.run(signal)
    const accessControl = noAccessControl === undefined
    const asked = { admin, accessControl, replicaSets, installation, waitMs: options.statementTimeoutMs, signal }
    const applied = await applyAll({ link: fenced(), record, ...asked }, batch)
    prepare.doubt(applied.failed?.error)
    return applied
  }
  const prove = async (login: ProbeLogin, signal: AbortSignal): Promise<Proof> => {
    const { noAccessControl } = await server.greeting('connect', signal)
    if (noAccessControl !== undefined) return { verdict: 'unsupported', evidence: noAccessControl }
    return probeAs(login, { link, connection, options }, signal)
  }
  return {
    observe: (scope: Scope, signal) =>
      server.during(async () => observe(ordinary, scope, await server.greeting('observe', signal), signal)),
    apply: (batch, signal) =>
      server.during(
        () => apply(batch, signal),
        ({ failed }) => failed?.error,
      ),
    health: (signal) =>
      server.during(async () => measure(link, await server.greetAnew('check health', signal), { signal, timeoutMs })),
    probe: (login, signal) => server.during(() => prove(login, signal)),
    ledgerSince: (since, signal) => historyOf(ordinary, since, { prepare: prepare.run, signal }),
    close: () => link.close(),
  }
}

interface Opened {
  readonly link: Link
  readonly connection: Connection
  readonly options: SessionOptions
}

function probeAs(login: ProbeLogin, { link, connection, options }: Opened, signal: AbortSignal): Promise<Proof> {
  const { login: username, password } = login
  const tenant = openLink({ ...connection, username, password, database: 'default' }, options, 'none')
  return probe(link, tenant, login, signal).finally(() => tenant.close())
}

interface Looking {
  readonly prepare: (signal: AbortSignal) => Promise<void>
  readonly signal: AbortSignal
}

/** A ledger that is older than its newest columns gets them first; where there is none, nothing was applied. */
async function historyOf(link: Link, since: string, { prepare, signal }: Looking): Promise<readonly HistoryRow[]> {
  const read = () => readHistory(link, since, { doing: 'read the ledger', signal })
  try {
    return await read()
  } catch (error) {
    if (isMissing(error)) return []
    if (!isUnknownColumn(error)) throw error
    await prepare(signal)
    return await read()
  }
}

async function measure(link: Link, greeting: Greeting, limits: Pick<Call, 'signal' | 'timeoutMs'>): Promise<Health> {
  const { version, latencyMs, noAccessControl } = greeting
  const [row] = await link.rows<Sizes>(SIZES, { doing: 'check health', ...limits })
  return {
    version,
    latencyMs,
    sizeBytes: Number(row?.bytes ?? 0),
    tables: Number(row?.tables ?? 0),
    connections: Number(row?.connections ?? 0),
    accessControl: noAccessControl === undefined,
  }
}

/** Runs once for all, and once more after an error that says that it was undone: somebody dropped the control database. */
function onceUntil(undone: (error: unknown) => boolean, work: () => Promise<void>) {
  let done = false
  const ask = join(async () => {
    if (!done) await work()
    done = true
  })
  return {
    run: async (signal: AbortSignal): Promise<void> => {
      if (!done) await ask(undefined, signal)
    },
    doubt: (error: unknown): void => {
      if (undone(error)) done = false
    },
  }
}

interface Sizes {
  readonly bytes: string
  readonly tables: string
  readonly connections: string
}

/** Temporary and system tables are not what a platform wants to see counted. */
const SIZES = `SELECT sum(total_bytes) AS bytes, count() AS tables,
    (SELECT sum(value) FROM system.metrics WHERE metric IN ('HTTPConnection', 'TCPConnection')) AS connections
  FROM system.tables
  WHERE NOT is_temporary AND database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')`

/** An HTTP request makes other engines hang up: say which one it was rather than that something was reset. */
async function namedServer(error: unknown, { host, port }: Connection, timeoutMs: number): Promise<unknown> {
  if (!(error instanceof AppError) || !['Unreachable', 'WrongEngine'].includes(error.code)) return error
  const engine = await identify(host, port, Math.min(timeoutMs, 1000))
  if (!engine) return error
  const message = `connect to ${host}:${port}: this is a ${engine} server; point the shard at the HTTP port of ClickHouse`
  return new AppError('WrongEngine', message, error)
}
