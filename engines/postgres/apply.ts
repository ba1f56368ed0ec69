import { asAppError } from '@tenantry/crds/errors.ts'
import type { Client, PoolClient } from 'pg'
import { type Stamp, stampOf } from '../fence.ts'
import type { Applied, Batch, SecretReader } from '../model.ts'
import { applyAtOnce, fitsAtOnce } from './at-once.ts'
import type { PgChange } from './diff/claim.ts'
import { FENCED, sqlState, toAppError } from './errors.ts'
import { admittedAlone, beginning, hold, type Pass, passOf, queryAdmitted, transactionOf } from './fence.ts'
import { type Lane, lanesOf } from './lanes.ts'
import { lockKey } from './lock-key.ts'
import { IS_CURRENT, ledgerStatements } from './migrate/ledger-schema.ts'
import { migrate } from './migrate/migrate.ts'
import type { PgResource, TenantDatabase } from './model.ts'
import { CONTROL } from './names.ts'
import { scramVerifier, verifierHash } from './scram.ts'
import type { Server } from './session.ts'
import { contextFor, type NewVerifier, type SqlContext } from './sql/context.ts'
import { text } from './sql/quote.ts'
import { createDatabase, dropDatabase, insideStatements } from './sql/shard.ts'
import { changeStatements, preludeOf } from './statements.ts'

/** Everything that applying one batch needs. */
export interface Work {
  readonly server: Server
  readonly batch: Batch<PgResource>
  readonly context: SqlContext
  readonly verifiers: Verifiers
  readonly signal: AbortSignal
  /** Undefined for a session that is not fenced. */
  readonly stamp: Stamp | undefined
}

/**
 * Applies in order. Neighbouring changes of one database share a transaction; a SQL file, and what cannot run in a
 * transaction, goes by itself. Each change is repeatable, so a batch that was killed is simply made again.
 */
export async function apply(
  server: Server,
  batch: Batch<PgResource>,
  signal: AbortSignal,
): Promise<Applied<PgResource>> {
  const [first] = batch.changes
  if (!first) return { done: [] }
  try {
    const lanes = lanesOf(batch.changes)
    const verifiers = await newVerifiers(batch.changes, batch.secrets)
    return (
      (await tryAtOnce(server, batch, signal, { lanes, verifiers })) ??
      (await applyLanes(await prepare(server, batch, signal, verifiers), lanes))
    )
  } catch (error) {
    return { done: [], failed: { change: first, error: asAppError(error, first.summary) } }
  }
}

/** New verifiers by login. */
type Verifiers = ReadonlyMap<string, NewVerifier>

/** Not before the first batch, which learns the database's name and makes the fence. */
async function tryAtOnce(
  server: Server,
  batch: Batch<PgResource>,
  signal: AbortSignal,
  { lanes, verifiers }: { readonly lanes: readonly Lane[]; readonly verifiers: Verifiers },
): Promise<Applied<PgResource> | undefined> {
  const database = databases.get(server)
  if (database === undefined || !fitsAtOnce(lanes) || batch.changes.some((change) => preludeOf(change).length > 0))
    return undefined
  const context = contextOf(batch, { database, extensions: [] }, verifiers)
  const statementsOf = ({ changes }: Lane): readonly string[] => [
    open(batch, verifiers),
    ...changes.flatMap((change) => changeStatements(context, change)),
  ]
  return await applyAtOnce({ server, batch, lanes, stamp: stampOf(server.options), signal, statementsOf })
}

/** The name of each session's database, which stays the same as long as its connections do. */
const databases = new WeakMap<Server, string>()

async function applyLanes(work: Work, lanes: readonly Lane[]): Promise<Applied<PgResource>> {
  const done: PgChange[] = []
  const { changes } = work.batch
  let current = changes[0]
  const begin = (change: PgChange): void => {
    current = change
  }
  try {
    await runPrelude(work)
    for (const lane of lanes) {
      await runLane(work, lane, begin)
      done.push(...lane.changes)
    }
    return { done }
  } catch (error) {
    if (!current) throw error
    return { done, failed: { change: current, error: asAppError(error, current.summary) } }
  }
}

/** `begin` is told of each change before its own turn, as far as the changes have one. */
async function runLane(work: Work, lane: Lane, begin: (change: PgChange) => void): Promise<void> {
  const [first] = lane.changes
  if (first) begin(first)
  if (first && lane.alone && first.target.kind !== 'TenantRows') await runAlone(work, first)
  else await runTogether(work, lane, begin)
}

async function prepare(
  server: Server,
  batch: Batch<PgResource>,
  signal: AbortSignal,
  verifiers: Verifiers,
): Promise<Work> {
  const stamp = stampOf(server.options)
  const [facts] = await server.pooled('prepare changes', signal, async (client) => {
    const found = await queryAdmitted<Facts & { oldLedger: boolean }>(client, stamp, FACTS)
    if (found[0]?.oldLedger) await client.query(transactionOf(passOf(stamp), ledgerStatements()))
    return found
  })
  if (facts) databases.set(server, facts.database)
  const context = contextOf(batch, facts ?? { database: '', extensions: [] }, verifiers)
  return { server, batch, context, verifiers, signal, stamp }
}

function contextOf({ owner }: Batch<PgResource>, facts: Facts, verifiers: Verifiers): SqlContext {
  return contextFor(owner, {
    ...facts,
    verifier: (login) => verifiers.get(login) ?? { verifier: '', hash: verifierHash('') },
  })
}

interface Facts {
  readonly database: string
  readonly extensions: readonly string[]
}

const FACTS = `SELECT current_database()::text AS database,
  ARRAY(SELECT extname::text FROM pg_extension WHERE extnamespace = to_regnamespace('public') ORDER BY 1) AS extensions,
  to_regclass('${CONTROL}.migration') IS NOT NULL AND NOT ${IS_CURRENT} AS "oldLedger"`

/** Of the logins whose password is to be set, and no others: deriving one takes a few milliseconds of a core. */
async function newVerifiers(changes: readonly PgChange[], secrets: SecretReader): Promise<Verifiers> {
  const logins = changes.flatMap(({ op, target, fields }) => {
    if (target.kind !== 'Role' || !target.spec.login || op === 'drop') return []
    return op === 'create' || fields.some(({ field }) => field === 'password') ? [target.spec.name] : []
  })
  const derive = async (login: string, n: number): Promise<readonly [string, NewVerifier]> => {
    const verifier = await scramVerifier(secrets(login))
    return [login, { verifier, hash: verifierHash(verifier), setting: `tenantry.verifier_${n}` }]
  }
  return new Map(await Promise.all(logins.map(derive)))
}

/** Shuts clients out before anything waits for the locks they hold, and commits that first so that none gets back in. */
async function runPrelude({ server, batch, signal, stamp }: Work): Promise<void> {
  const closing = batch.changes.flatMap(preludeOf).map((statement) => admittedAlone(stamp, statement))
  if (closing.length === 0) return
  await server.pooled('close logins', signal, (client) => runEach(client, closing))
}

async function runEach(client: PoolClient | Client, list: readonly string[]): Promise<void> {
  for (const statement of list) await client.query(statement)
}

async function runAlone(work: Work, change: PgChange): Promise<void> {
  const { target, op } = change
  if (target.kind === 'Migration' || target.kind === 'Reversal') return await migrate(work, target)
  if (target.kind !== 'TenantDatabase') return
  await hold(work, change.summary, async (client, pass) => {
    await makeOrDrop({ op, target }, client)
    if (op !== 'drop') await furnish(work, { ...change, target }, client, pass)
  })
}

type DatabaseChange = Omit<PgChange, 'target'> & { readonly target: TenantDatabase }

/** Neither can run in a transaction. */
async function makeOrDrop({ op, target }: Pick<DatabaseChange, 'op' | 'target'>, client: PoolClient): Promise<void> {
  if (op === 'drop') {
    await client.query(dropDatabase(target))
    return
  }
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [target.spec.name])
  if (rowCount === 0) await client.query(createDatabase(target))
}

/** From the shard's database first, and then from inside. */
async function furnish(work: Work, change: DatabaseChange, client: PoolClient, inside: Pass): Promise<void> {
  const { server, context, signal, stamp } = work
  const { target, summary } = change
  await client.query(transaction(work, changeStatements(context, change), passOf(stamp)))
  await server.single({ database: target.spec.name }, summary, signal, async (own) => {
    await own.query(transaction(work, insideStatements(context, target), inside))
  })
}

/**
 * All statements go in one message. When one fails, nothing of the transaction remains, and it is repeated change by change to
 * learn which one it was: the message of an error inside a block does not tell.
 */
async function runTogether(work: Work, lane: Lane, begin: (change: PgChange) => void): Promise<void> {
  const { context, server, signal, stamp } = work
  const parts = lane.changes.map((change) => ({ change, list: changeStatements(context, change) }))
  const run = (client: PoolClient | Client, pass: Pass): Promise<void> => runOver(work, client, { parts, begin, pass })
  const doing = `change ${lane.changes.length} things`
  const { place } = lane
  if (place === undefined || (await isGone(work, lane))) {
    await server.pooled(doing, signal, (client) => run(client, passOf(stamp)))
    return
  }
  await hold(work, doing, (_, pass) => server.single({ database: place }, doing, signal, (client) => run(client, pass)))
}

interface LaneRun {
  readonly parts: readonly { readonly change: PgChange; readonly list: readonly string[] }[]
  readonly begin: (change: PgChange) => void
  readonly pass: Pass
}

async function runOver(work: Work, client: PoolClient | Client, lane: LaneRun): Promise<void> {
  const list = lane.parts.flatMap((part) => part.list)
  try {
    await client.query(transaction(work, list, lane.pass))
  } catch (error) {
    const state = sqlState(error)
    if (state === undefined || state === FENCED) throw error
    await client.query('ROLLBACK')
    await runParts(work, client, lane)
  }
}

/** Roles outlive the database of the tenant's own; then they are dropped from the shard's. */
async function isGone({ server, signal }: Work, { place, changes }: Lane): Promise<boolean> {
  if (!changes.every(({ target }) => target.kind === 'Role')) return false
  return await server.pooled('look for a database', signal, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [place])
    return rowCount === 0
  })
}

async function runParts(work: Work, client: PoolClient | Client, { parts, begin, pass }: LaneRun): Promise<void> {
  await client.query([...beginning(pass), open(work.batch, work.verifiers)].join(';\n'))
  for (const { change, list } of parts) {
    begin(change)
    try {
      if (list.length > 0) await client.query(list.join(';\n'))
    } catch (error) {
      throw toAppError(error, `${change.summary} on ${work.server.title}`)
    }
  }
  await client.query([...pass.leave, 'COMMIT'].join(';\n'))
}

function transaction(work: Work, list: readonly string[], pass: Pass): string {
  return transactionOf(pass, [open(work.batch, work.verifiers), ...list])
}

/**
 * One batch of an owner at a time, whoever runs it. New verifiers go along as settings of the transaction: a query's constants
 * are left out where servers keep its text.
 */
function open({ owner }: Batch<PgResource>, verifiers: Verifiers): string {
  const { installation, kind, namespace, name } = owner
  const lock = `pg_advisory_xact_lock(${lockKey(JSON.stringify([installation, kind, namespace, name]))})`
  const kept = [...verifiers.values()].flatMap(({ verifier, setting }) =>
    setting === undefined ? [] : [`set_config(${text(setting)}, ${text(verifier)}, true)`],
  )
  return `SELECT ${[lock, ...kept].join(', ')}`
}
